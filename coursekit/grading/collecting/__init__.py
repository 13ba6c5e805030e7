"""From a learning platform's download to a class's folder."""
