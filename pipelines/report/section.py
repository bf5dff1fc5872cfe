"""A section of the page."""

from __future__ import annotations

from dataclasses import dataclass

from pipelines.report.markup import Content, Html, tag


@dataclass(frozen=True)
class Section:
    """A heading, one sentence that says the result and what shows it."""

    anchor: str
    title: str
    lead: Content
    body: Content

    @property
    def short(self) -> str:
        """Its name in the navigation."""
        return self.anchor.capitalize()

    def render(self) -> Html:
        """The section's markup."""
        heading = f"{self.anchor}-title"
        return tag(
            "section",
            tag("h2", self.title, id=heading),
            tag("p", self.lead, class_="lead") if self.lead else None,
            self.body,
            id=self.anchor,
            aria_labelledby=heading,
        )
