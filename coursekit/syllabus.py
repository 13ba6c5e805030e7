"""The list of lessons: the one place for their order, names and questions. README and tests follow it.

``python -m coursekit.syllabus`` writes the table into README.md.
"""

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- lessons: made by python -m coursekit.syllabus -->", "<!-- end of lessons -->"


@dataclass(frozen=True)
class Lesson:
    """A lesson, and the question it answers."""

    number: int
    topic: str
    title: str
    question: str

    @property
    def name(self) -> str:
        """The name of its notebooks, without the ending."""
        return f"{self.number:02d}_{self.topic}"

    @property
    def is_here(self) -> bool:
        return (ROOT / "lessons" / f"{self.name}.ipynb").is_file()


LESSONS = (
    Lesson(1, "complexity", "Complexity", "What does a model cost, before anybody runs it?"),
    Lesson(2, "measuring", "Measuring and the roofline", "Is it really faster, and how fast could it be?"),
    Lesson(3, "data", "The data pipeline", "What happens to the data before the first multiplication?"),
    Lesson(4, "graphs", "Computation graphs", "What does a framework know about the code it runs?"),
    Lesson(5, "convolution", "Convolution", "How many ways are there to compute one convolution?"),
    Lesson(6, "recurrence", "Recurrence", "What can be done at once when each step waits for the last?"),
    Lesson(7, "cpu_kernels", "CPU kernels", "How near to the peak does plain Python come?"),
    Lesson(8, "gpu_kernels", "GPU kernels", "What do a thousand threads ask of the one who feeds them?"),
    Lesson(9, "fusion", "Fusion", "What does an operation cost beyond its arithmetic?"),
    Lesson(10, "pruning", "Pruning", "Which weights can go, and when does their going save time?"),
    Lesson(11, "quantisation", "Quantisation", "How few bits does a weight need?"),
    Lesson(12, "distillation", "Distillation", "What does a small model learn from a large one?"),
    Lesson(13, "low_rank", "Low rank and architecture", "Can the same function be written with less?"),
    Lesson(14, "mixed_precision", "Mixed precision", "Where in training is half the precision enough?"),
    Lesson(15, "parallelism", "Parallelism", "What do many processors have to tell each other?"),
    Lesson(16, "accelerators", "Accelerators", "Which hardware does a model want?"),
    Lesson(17, "deployment", "Deployment", "What does the user of a model wait for?"),
    Lesson(18, "capstone", "Capstone", "How far does everything together carry one model?"),
)


def plain_table() -> str:
    """The lessons as text: a star marks those that are here."""
    lines = [f"{'*' if x.is_here else ' '} {x.number:02d} {x.title:<28} {x.question}" for x in LESSONS]
    return "\n".join([*lines, "* is here; the others are on the way"])


def markdown_table() -> str:
    """The lessons as the README shows them, with links to what is here."""
    lines = ["| | lesson | the question | exercise |", "|---|---|---|---|"]
    for lesson in LESSONS:
        title, exercise = f"{lesson.title} (on the way)", ""
        if lesson.is_here:
            title = f"[{lesson.title}](lessons/{lesson.name}.ipynb)"
            exercise = f"[{lesson.number:02d}](exercises/{lesson.name}.ipynb)"
        lines.append(f"| {lesson.number:02d} | {title} | {lesson.question} | {exercise} |")
    return "\n".join(lines)


def with_table(text: str) -> str:
    """`text` with the table between its two marks made anew. Raises ValueError where a mark is missing."""
    if BEGIN not in text or END not in text:
        raise ValueError(f"the text needs the lines {BEGIN} and {END}")
    head, rest = text.split(BEGIN, 1)
    return f"{head}{BEGIN}\n{markdown_table()}\n{END}{rest.split(END, 1)[1]}"


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_table(readme.read_text(encoding="utf-8")), encoding="utf-8")
