"""What captions are written with that is no language: HTML, emoji, hashtags, capitals, slips of the hand, quotes."""

from __future__ import annotations

import html
import re

from groundgraph.language.lemmas import is_base, lemma
from groundgraph.language.reading import Reading

# What needs no mending at all, which is most captions.
_PLAIN = re.compile(r"[A-Z]?[a-z0-9]*(?:(?: |, |-)[a-z0-9]+)*[.!?]?")
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>")
_CHARACTER = re.compile(r"&#?\w{2,10};")
_ADDRESS = re.compile(r"\b(?:https?://|www\.)\S+")
_FILE = re.compile(r"\b\w*_\w+(?:\.\w{2,4})?\b|\b\w+\.(?:jpe?g|png|gif|webp|bmp|tiff?)\b")
_EXTENSION = re.compile(r"\.\w{2,4}$")
_HASH = re.compile(r"#(?=\w)")
# Pictographs, dingbats, arrows, their modifiers; zero-width characters and marks of direction.
_PICTOGRAPH = re.compile("[\u2190-\u21ff\u2300-\u2bff\u3030\ufe0f\u200b-\u200f\u2060\ufeff\U0001f000-\U0001faff]+")
_SAME = str.maketrans({**dict.fromkeys("‘’´`ʼ′", "'"), **dict.fromkeys("“”„«»″", '"'), **dict.fromkeys("–—−", "-")})
_DOUBLED = re.compile("``|''|‘‘|’’")
_OTHER_MARKS = re.compile("[‘’´`ʼ′“”„«»″–—−]+")
_AND, _WITHOUT, _WITH = re.compile("&"), re.compile(r"\bw/o\b"), re.compile(r"\bw/(?=\s|\w)\s?")
_SPACES = re.compile(r"\s+")
_OPENING = re.compile(r"^[\s*•·>~-]+(?=\w)|^\s+")
_CLOSING = re.compile(r"[\s*•·~-]+$")
_SHOUTED = re.compile(r"\b[A-Z]{4,}\b")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")

# Small words as they are mistyped; of others only verbs in -ing are mended, since a name may be anything.
MISTYPED = {
    "teh": "the", "hte": "the", "tha": "the", "thier": "their", "thru": "through", "wich": "which", "whith": "with",
    "wiht": "with", "witha": "with a", "ona": "on a", "ina": "in a", "nad": "and", "adn": "and", "infront": "in front",
    "inbetween": "between", "nextto": "next to", "ontop": "on top", "ontopof": "on top of", "beetween": "between",
    "betwen": "between", "beween": "between", "agains": "against", "agianst": "against", "aginst": "against",
    "behing": "behind", "behid": "behind", "benaeth": "beneath", "underneth": "underneath", "besides": "beside",
    "arround": "around", "aroud": "around", "accross": "across", "acros": "across", "allong": "along",
    "untop": "on top",
    "form the": "from the", "dont": "don't", "doesnt": "doesn't", "isnt": "isn't", "arent": "aren't", "nxt": "next",
    "along side": "alongside", "up side down": "upside down", "its'": "its",
}  # fmt: skip
_MISTYPED = re.compile(r"\b(?:" + "|".join(map(re.escape, MISTYPED)) + r")\b")
# "An" before a vowel is often only an "a", and the reverse; both are read alike. Endings of a mistyped -ing:
_GERUND = re.compile(r"\b([a-z]{2,}?)(?:in|ig|ng|ign|img|inf|igng|inng|inig)\b")
_BARE_GERUND = re.compile(r"\b[a-z]{3,}ing\b")

_QUOTED = r"(?:(?<!\w)\"[^\"]{1,200}\"|(?<![\w'])'[^\"]{1,200}?'(?!\w))"
_WHOLE = re.compile(r"^\s*[\"']([^\"]*)[\"']\s*$")
_QUOTED_ALONE = re.compile(rf"\s?{_QUOTED}")
_WORDS_FOR_WORDS = (
    r"(?:words?|letters?|lettering|text|message|phrase|names?|slogan|writing|numbers?|caption|title|label)"
)
_SAYING = (
    r"(?:saying|says?|said|reading|reads?|called|named|labell?ed|titled|entitled|written|printed|spelling|spells?"
    r"|stating|states?|marked|displaying|displays?|showing|shows?|advertising|bearing|for)"
)
_WRITTEN_ON = (
    r"(?:\s(?:is|are|painted|written|printed|in (?:\w+ )?(?:letters|paint|icing|ink|chalk|frosting)|drawn|spelled"
    r"|stitched|engraved|out)){0,3}"
    r"(?:\s(?:on|across|at|along|over|in|above|below)\s(?:it|them|him|her|(?:the|its|his|her|one|each)\s"
    r"(?:front|back|side|top|bottom|chest|sleeve|sleeves|cover|left|right|middle|center)(?!\sof)))?"
)
_QUOTE = re.compile(
    rf",?(?:\s(?:that|which|who))?(?:\s(?:is|are))?(?:\s{_SAYING})?(?:\s(?:of|with|by|as|to))?"
    rf"(?:\s(?:the|a|an|its))?(?:\s{_WORDS_FOR_WORDS})?(?:\s{_SAYING})?\s?{_QUOTED}"
    rf"(?:(?:,|\sand|\sor|\s&)\s{_QUOTED})*(?:{_WRITTEN_ON}(?=[\s.,;!]|$))?"
)


_DETERMINED = r"(?=\s(?:the|this|that|these|those|a|an|how|my|our|his|her|their|two|three|some|all)\b)"
# What is said to whoever looks at the photo, and how it was taken.
_ADDRESSED = re.compile(
    rf"^(?:please )?(?:(?:just |now )?(?:look at|notice|check out|observe|behold|see|watch)(?: how)?{_DETERMINED}"
    r"|(?:here|this|that|there)(?: is|'s) (?=how\b)|here(?: is| are| we have|'s|'re)|(?:we|you|i|one)(?: can)? see"
    rf"|(?:this|it|that)(?: is|'s){_DETERMINED}|(?:these|those|they) are{_DETERMINED})\s",
    re.I,
)
_TAKEN = re.compile(
    r"\b(?:(?:an?|the|this|some) )?(?:(?:extreme|very|really|nice|upclose) )*(?:close|up)(?: ?- ?| )?(?:up|close)s?"
    r"(?: (?:view|shot|photo|picture|photograph|image|look)s?)?(?: of) ",
    re.I,
)


def mend_writing(reading: Reading) -> None:
    """Rewrite a caption to words that a model of English reads well; what is quoted is left out, with what says it."""
    if _PLAIN.fullmatch(reading.text):
        _mistyped(reading)
        _addressed(reading)
        return
    reading.replace(_TAG, " ")
    reading.replace(_CHARACTER, lambda match: html.unescape(match[0]))
    reading.replace(_ADDRESS, "")
    reading.replace(_FILE, lambda match: _EXTENSION.sub("", match[0]).replace("_", " "))
    reading.replace(_HASH, "")
    reading.replace(_PICTOGRAPH, " ")
    reading.replace(_DOUBLED, '"')
    reading.replace(_OTHER_MARKS, lambda match: match[0].translate(_SAME))
    reading.replace(_WHOLE, lambda match: match[1] if _QUOTED_ALONE.fullmatch(match[0].strip()) else match[0])
    reading.replace(_AND, " and ")
    reading.replace(_WITHOUT, "without")
    reading.replace(_WITH, "with ")
    reading.replace(_SPACES, " ")
    reading.replace(_OPENING, "")
    reading.replace(_CLOSING, "")
    reading.replace(_QUOTE, _unquoted)
    reading.replace(_OPENING, "")
    _lower_capitals(reading)
    _mistyped(reading)
    _addressed(reading)


def _unquoted(match: re.Match[str]) -> str:
    """What is left of a quotation: nothing, but the word for it where the caption begins with it ("the word ...")."""
    words = _WORD.findall(match[0])
    if len(words) == 1 and words[0].endswith("ing") and words[0].islower():  # what somebody does, said with a wink
        return f" {words[0]}"
    opens = match.string[: match.start()].strip().lower() in ("", "the", "a", "an", "two", "some")
    return _QUOTED_ALONE.sub("", match[0]) if opens else ""


def _lower_capitals(reading: Reading) -> None:
    """Words in capitals, and headlines with every long word in them, are read in lower case: else all is a name."""
    words = _WORD.findall(reading.text)
    raised = [word for word in words if word[0].isupper()]
    headline = len(words) > 2 and len(raised) * 5 >= len(words) * 3 and all(w[0].isupper() or len(w) < 5 for w in words)
    if headline:
        reading.replace(_WORD, lambda match: _lower(match[0]))
    else:
        reading.replace(_SHOUTED, lambda match: _lower(match[0]))


def _lower(word: str) -> str:
    lower = word.lower()
    return lower if len(lower) == len(word) else word  # not so of a dotted capital I


def _addressed(reading: Reading) -> None:
    reading.replace(_ADDRESSED, "")
    reading.replace(_TAKEN, "")


def _mistyped(reading: Reading) -> None:
    reading.replace(_MISTYPED, lambda match: MISTYPED[match[0]])
    reading.replace(_GERUND, lambda match: _gerund(match[0], match[1]))


def _gerund(word: str, stem: str) -> str:
    """The verb in -ing that an unknown word is meant for ("standig", "sittin"), else the word."""
    if any(is_base(lemma(word, kind), kind) for kind in ("noun", "verb", "adj")):
        return word
    meant = f"{stem}ing"
    return meant if is_base(lemma(meant, "verb"), "verb") and meant != lemma(meant, "verb") else word
