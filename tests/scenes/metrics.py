"""One scrape of /metrics, read back."""

from __future__ import annotations


class Metrics:
    """One scrape: samples by name."""

    def __init__(self, text: str, content_type: str) -> None:
        self.content_type = content_type
        self.samples: dict[str, list[tuple[dict[str, str], float]]] = {}
        self.text = text
        for line in text.splitlines():
            if line and not line.startswith("#"):
                name, labels, value = _sample(line)
                self.samples.setdefault(name, []).append((labels, value))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Add the samples of a metric up by one label."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(name, []):
            sums[labels[label]] = sums.get(labels[label], 0.0) + value
        return sums

    def total(self, name: str) -> float:
        """Add all samples of a metric up."""
        return sum(value for _, value in self.samples.get(name, []))


def _sample(line: str) -> tuple[str, dict[str, str], float]:
    """Read one line of the text format; the labels of our metrics have no escapes."""
    place, _, value = line.rpartition(" ")
    name, _, inner = place.removesuffix("}").partition("{")
    pairs = (pair.partition("=") for pair in inner.split(",") if pair)
    return name, {key: quoted.strip('"') for key, _, quoted in pairs}, float(value)
