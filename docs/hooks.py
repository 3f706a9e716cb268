"""What mkdocs does besides: pages and pictures from outside docs/, and the reference of the input.

Links are written as they work in the repository. README.md becomes the front page; a page or picture that docs/ links
to as ``../FILE`` comes into the site under its own path, and all links to it are changed accordingly.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from mapmpi.config.schema import reference

ROOT = Path(__file__).parent.parent
TOP_PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md")
KEYS = "<!-- keys -->"
"""Where the keys come in reference.md."""
OUTSIDE = re.compile(r"\]\(\.\./([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what lies outside docs/: the front page, the pages of the top folder, and what is linked to."""
    linked = set(TOP_PAGES)
    for file in files.documentation_pages():
        linked.update(OUTSIDE.findall(file.content_string))
    linked.update(re.findall(r"\]\((benchmarks/[^)\s]+\.png)\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    files.append(File.generated(config, "index.md", abs_src_path=str(ROOT / "README.md")))
    for name in sorted(linked):
        if (ROOT / name).is_file():  # what is missing stays a broken link, which the strict build refuses
            files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Change links into what they are on the site, and put the keys into the reference."""
    if page.file.src_uri in ("index.md", *TOP_PAGES):
        return re.sub(r"\]\(docs/", "](", markdown).replace("](README.md", "](index.md")
    markdown = OUTSIDE.sub(r"](\1", markdown).replace("](README.md", "](index.md")
    return markdown.replace(KEYS, reference())
