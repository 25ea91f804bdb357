"""Where a published thing stands: written sources → addresses."""

from __future__ import annotations

import re

GITHUB = "https://github.com"


NGC = "catalog.ngc.nvidia.com"
"""NVIDIA's catalogue, which has no permalinks."""


def address(source: str) -> str:
    """A permalink for ``owner/name file:line @commit``, an issue or an arXiv number; or nothing."""
    file = re.match(
        r"([\w-]+/[\w.-]+) (\S+?)(?::(\d+)(?:-(\d+))?)?,? @([0-9a-f]{7,40}|[\w.]+)\b", source
    )
    if file:
        repository, path, line, end, commit = file.groups()
        # GitHub renders Markdown, where a line can be pointed at in the source view only.
        view = "?plain=1" if path.endswith(".md") and line else ""
        lines = (f"#L{line}" + (f"-L{end}" if end else "")) if line else ""
        return f"{GITHUB}/{repository}/blob/{commit}/{path}{view}{lines}"
    issue = re.match(r"([\w-]+/[\w.-]+) (?:issue|PR) (\d+)", source)
    if issue:
        return f"{GITHUB}/{issue[1]}/issues/{issue[2]}"
    if source.startswith(NGC):
        return f"https://{NGC}"
    paper = re.search(r"arXiv (\d{4}\.\d{4,5})", source)
    return f"https://arxiv.org/abs/{paper[1]}" if paper else ""


def linked(markdown: str) -> str:
    """Markdown in which every source in backticks, in full, is a link to it."""
    return re.sub(
        r"(?<!\[)`([\w-]+/[\w.-]+ [^`\s]+ @[0-9a-f]{7,40})`",
        lambda match: f"[{match[0]}]({address(match[1])})",
        markdown,
    )


def code(repository: str, commit: str, file: str) -> str:
    """A file of a repository at a commit; ``file`` may name a function or lines behind it.

    Nothing where several repositories are named together.
    """
    if not re.fullmatch(r"[\w-]+/[\w.-]+", repository):
        return ""
    path = re.match(r"[\w./-]+", file)
    tag = f"v{commit}" if re.fullmatch(r"\d+\.\d+\.\d+", commit) else commit[:12]
    line = re.search(r":(\d+)", file)
    end = f"#L{line[1]}" if line else ""
    return f"{GITHUB}/{repository}/blob/{tag}/{path[0]}{end}" if path else f"{GITHUB}/{repository}"
