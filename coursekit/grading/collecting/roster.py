"""Who is who in a download: a name and a number become one learner's folder, the same one each time."""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from coursekit.grading.course.names import Person, compact, safe_name, turned, unique
from coursekit.grading.course.sheets import BadSheet, read_sheet


@dataclass(frozen=True)
class Listed:
    """A line of the roster: the learner's folder, and what else the platform calls them."""

    learner: str
    name: str = ""
    lms_id: str = ""


@dataclass(frozen=True)
class Known:
    """Somebody of whom something was collected before, and the exercise it was for."""

    learner: str
    person: Person
    exercise: str


def read_roster(path: Path) -> list[Listed]:
    """The class, from a table with a column `learner`, and perhaps `name` and `lms_id`; others are not read.

    A learner may have several lines, for several numbers. Raises :class:`BadSheet`.
    """
    roster = []
    for line, row in read_sheet(path, ["learner"]):
        learner = row["learner"]
        if not learner or safe_name(learner) != learner:
            wanted = f"; wanted something like {safe_name(learner)!r}" if learner else ""
            raise BadSheet(f"{path}, line {line}: {learner!r} cannot be a folder's name{wanted}")
        roster.append(Listed(learner, row.get("name", ""), row.get("lms_id", "")))
    _refuse_twice(path, roster)
    return roster


def assign(
    people: Mapping[Person, set[str]], roster: list[Listed], known: list[Known]
) -> dict[Person, tuple[str, str]]:
    """A folder for each person of one download, and a remark where they could be somebody else.

    `people` maps each to the exercises they handed in, `known` are those of earlier downloads. In this order: the
    roster; the platform's number; the name, where only one person can be meant; a new folder, with the number in its
    name where the name alone is not enough.
    """
    learners = {}
    for person in people:
        found = _listed(person, roster) or _numbered(person, known)
        if found:
            learners[person] = found
    same_name = Counter(_key(person.name) for person in people)
    rest = [person for person in people if person not in learners]
    for person in rest:
        named = _namesakes(person, people[person], known) - set(learners.values())
        if same_name[_key(person.name)] == 1 and len(named) == 1:
            learners[person] = named.pop()
    taken = {*learners.values(), *(k.learner for k in known), *(listed.learner for listed in roster)}
    for person in rest:
        if person not in learners:
            learners[person] = _new_folder(person, taken, shared=same_name[_key(person.name)] > 1)
            taken.add(learners[person])
    is_listed = {listed.learner for listed in roster}
    return {person: (folder, _remark(person, folder, is_listed)) for person, folder in learners.items()}


def absent(roster: list[Listed], here: Collection[str], people: Collection[Person]) -> dict[str, Person]:
    """Who is on the roster and not in the download, with the number that its platform has for them.

    Moodle's number is for one assignment, so it is taken where the roster has that of somebody who is in the download,
    and only one for this learner.
    """
    platforms = {person.lms for person in people if person.lms}
    lms = platforms.pop() if len(platforms) == 1 else ""
    lines = Counter(listed.learner for listed in roster)
    seen = {person.lms_id for person in people} & {listed.lms_id for listed in roster if listed.lms_id}
    found = {}
    for listed in roster:
        if listed.learner not in here:
            fits = lms == "canvas" or (lms == "moodle" and seen and lines[listed.learner] == 1)
            number = listed.lms_id if fits else ""
            found[listed.learner] = Person(lms, number, listed.name or listed.learner)
    return found


def _listed(person: Person, roster: list[Listed]) -> str | None:
    """The learner that the roster means by this person, where it is only one."""
    ways: list[Callable[[Listed], bool]] = [
        lambda listed: bool(listed.lms_id) and listed.lms_id in (person.lms_id, person.name),
        lambda listed: person.name in (listed.learner, listed.name),
        lambda listed: bool(compact(person.name)) and compact(person.name) in turned(listed.name),
        lambda listed: bool(compact(person.name)) and compact(person.name) == compact(listed.learner),
    ]
    for way in ways:
        found = {listed.learner for listed in roster if way(listed)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _numbered(person: Person, known: list[Known]) -> str | None:
    """The learner who had this number of this platform before; where it has no numbers, the very same name."""
    for k in known:
        same_number = bool(person.lms_id) and (k.person.lms, k.person.lms_id) == (person.lms, person.lms_id)
        if same_number or (not person.lms_id and k.person == person):
            return k.learner
    return None


def _namesakes(person: Person, exercises: set[str], known: list[Known]) -> set[str]:
    """The learners of the same name whom this person can be, though the number is another.

    Moodle counts each assignment's participants anew, so another number for another exercise is nothing unusual, and
    for the same exercise it is somebody else. Canvas has one number for each user.
    """
    if person.lms != "moodle":
        return set()
    named = {
        k.learner for k in known if k.person.lms == "moodle" and _key(k.person.name) == _key(person.name)
    }
    return named - {k.learner for k in known if k.exercise in exercises}


def _new_folder(person: Person, taken: set[str], shared: bool) -> str:
    name = safe_name(person.name)
    if person.lms_id and (shared or not compact(person.name) or person.name == "Participant"):
        name = safe_name(f"{name} {person.lms_id}")
    return unique(name, taken, person.lms_id)


def _key(name: str) -> str:
    return safe_name(name).casefold()


def _remark(person: Person, folder: str, roster: set[str]) -> str:
    """What to say of somebody who is not on the roster, or, without one, is not called as their folder is."""
    called = f"{person.name!r}, number {person.lms_id}" if person.lms_id else repr(person.name)
    if roster and folder not in roster:
        return f"{called} is not on the roster"
    return f"is {called} in the download" if not roster and folder != safe_name(person.name) else ""


def _refuse_twice(path: Path, roster: list[Listed]) -> None:
    owners = defaultdict(set)
    for listed in roster:
        owners[listed.lms_id].add(listed.learner)
    for lms_id, learners in owners.items():
        if lms_id and len(learners) > 1:
            raise BadSheet(
                f"{path}: lms_id {lms_id} stands for {' and '.join(sorted(learners))}; wanted: one learner"
            )
    folders = defaultdict(set)
    for listed in roster:
        folders[listed.learner.casefold()].add(listed.learner)
    for learners in folders.values():
        if len(learners) > 1:
            raise BadSheet(
                f"{path}: {' and '.join(sorted(learners))} are one folder on many disks; rename one"
            )
