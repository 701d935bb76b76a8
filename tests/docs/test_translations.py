"""The Spanish documents agree with the English ones and the design document: same parts, code, names and links."""

import re
from collections import Counter

import pytest

from settings.env import ROOT

ENGLISH = (ROOT / "README.md").read_text(encoding="utf-8")
SPANISH = (ROOT / "README.es.md").read_text(encoding="utf-8")
ARCHITECTURE = (ROOT / "docs" / "es" / "arquitectura.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
ENGLISH_TEXT = BLOCK.sub("", ENGLISH)
SPANISH_TEXT = BLOCK.sub("", SPANISH)
ONLY_SPANISH = {"high"}
# The sections of the design document, and its decisions, patterns and tactics, which the Spanish page must mention.
SECTIONS = (
    "Requerimientos funcionales", "Componentes de la arquitectura", "Vista de descomposición", "Vista de tiers",
    "Vista de despliegue", "Patrones", "Tácticas", "ADRs", "Tecnologías", "CI/CD", "Hardware", "Desafíos",
)  # fmt: skip
SUBSECTIONS = (
    *(["Representación primaria", "Catálogo de elementos", "Decisiones"] * 3),
    "ADR 001: Bull Queue", "ADR 002: workers independientes", "ADR 003: Sequelize", "ADR 004: PM2",
    "ADR 005: Artillery", "Instalación", "Ejecución", "Simulación", "Responsividad del sistema",
    "Máximo límite de requests", "Tasks `job`", "Prioridades", "Métricas relevantes de Artillery",
)  # fmt: skip
NAMED = (
    "RF1", "RF2", "Postman", "Api Server", "Worker Server", "Node.js", "app.js", "pm2.config.js", "REP",
    "Publish-Subscribe", "Multitiers", "CQRS", "Scale Rollouts", "Exception Detection", "Monitor", "Increase Resources",
    "Localize State Storage", "Abstract Data Sources", "Couple-Time Parameterization", "Interpret Parameters", "Retry",
    "Audit", "Use an Intermediary", "Abstract Common Services", "Limit Event Response", "Express.js", "TypeScript",
    "init.sql", "test_context.sql", "generateFakeData.js", "load-test.yaml", "workerServer.js", "npm install",
    "npm start", "npm dev", "pm2 start", "i5-1035G1", "182.6", "http.request_rate", "vusers.session_length",
)  # fmt: skip


def headings(text: str) -> list[str]:
    return re.findall(r"^(#+) ", BLOCK.sub("", text), re.MULTILINE)


def code(kind: str, block: str) -> str:
    """Return the part of a block that must not differ: a shell's commands without comments; a diagram's arrows."""
    if kind == "sh":
        return re.sub(r"\s+#.*", "", block)
    if kind == "mermaid":
        return "\n".join(re.findall(r"\w+(?= --| *\[|$)|-->", block))
    return block


def test_the_readmes_have_the_same_sections_and_lists() -> None:
    assert headings(SPANISH) == headings(ENGLISH)
    for english, spanish in zip(ENGLISH_TEXT.split("\n## "), SPANISH_TEXT.split("\n## "), strict=True):
        title = english.splitlines()[0]
        assert spanish.count("\n- ") == english.count("\n- "), title


def test_the_readmes_show_the_same_code() -> None:
    english, spanish = BLOCK.findall(ENGLISH), BLOCK.findall(SPANISH)
    assert [kind for kind, _ in spanish] == [kind for kind, _ in english]
    for (kind, block), (_, translated) in zip(english, spanish, strict=True):
        assert code(kind, translated) == code(kind, block), "copy the block of README.md into README.es.md"


def test_the_readmes_name_the_same_things() -> None:
    """Everything in code: a name that only one of them has is missing in the other."""
    english, spanish = (Counter(re.findall(r"`([^`\n]+)`", text)) for text in (ENGLISH_TEXT, SPANISH_TEXT))
    assert english.keys() - spanish.keys() == set()
    assert spanish.keys() - english.keys() <= ONLY_SPANISH


def test_the_readmes_have_the_same_links() -> None:
    english, spanish = (Counter(re.findall(r"\]\(([^)\s]+)\)", text)) for text in (ENGLISH_TEXT, SPANISH_TEXT))
    assert (english - spanish).keys() == {"README.es.md"}
    assert spanish.keys() - english.keys() == {"README.md"}


def test_the_architecture_has_the_sections_of_the_design_document() -> None:
    assert tuple(re.findall(r"^## (.+)$", ARCHITECTURE, re.MULTILINE)) == SECTIONS
    assert tuple(re.findall(r"^### (.+)$", ARCHITECTURE, re.MULTILINE)) == SUBSECTIONS


@pytest.mark.parametrize("name", NAMED)
def test_the_architecture_mentions(name: str) -> None:
    assert name in ARCHITECTURE
