"""Prompts of people: what one account writes when it uses no template of anybody else's.

Every account gets a :class:`Person` with habits of its own (topics, courtesy, language, taste for code
or long pastes), so that prompts vary between accounts as well as within one.
"""

from __future__ import annotations

import dataclasses
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Protocol

from linkage.worlds.wording import CODE, FOREIGN, TOPICS, Grammar, alternatives, pick

Contract = Mapping[str, Any]
"""The request contract: temperature, max_tokens, stop, tools, response_format, stream."""


class Written(NamedTuple):
    """One prompt and what goes with it."""

    prompt: str
    log_output: float
    """Natural log of the expected output tokens."""
    contract: Contract | None = None
    """None: the account's own contract."""
    system: str | None = None
    end_user: str | None = None


class Writer(Protocol):
    """What an account says next; ``limited`` tells that this request will be refused with status 429."""

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """The next prompt, at a UTC time in epoch milliseconds."""
        ...


FORMS: Final = ("question", "chat", "story", "paste", "code", "follow", "foreign", "list")


def sentences(grammar: Grammar, rand: random.Random, count: int) -> str:
    """Running text of ``count`` sentences, each with a capital and a full stop."""
    grown = (grammar.grow("{sentence}", rand) for _ in range(count))
    return " ".join(f"{text[:1].upper()}{text[1:]}." for text in grown)


def document(grammar: Grammar, rand: random.Random, paragraphs: int) -> str:
    """A titled text of several paragraphs, such as people paste to have it summarised."""
    title = grammar.grow("{title}", rand)
    body = "\n\n".join(sentences(grammar, rand, 2 + int(rand.random() * 4)) for _ in range(paragraphs))
    return f"{title}\n\n{body}"


_PASTE_ASKS: Final = alternatives(
    "Summarise this: |tl;dr?|Correct spelling and grammar:|Translate into {language}:|What are the action "
    "points?|Rewrite this for {person}, {wish}:|Who is mentioned here and why?|Turn this into {n1} bullet "
    "points:|Is there anything wrong in this text? {wish}|Make this sound less {adj}:|Find dates and amounts in "
    "the text below."
)
_STORY_ASKS: Final = alternatives(
    "Write a long story about a {adj} {noun} and {person}. {sentence}. {wish}|Continue this chapter, at least "
    "{n3} words:\n{sentence}. {sentence}.|Write a detailed guide on how to {action}, with {n1} sections. "
    "{about}.|Give me the full essay on the {noun} in {place}, {wish}. It should discuss why {problem}.|Write "
    "the complete {n1} page report about the {adj} {noun} for {brand}; {wish}"
)
_LIST_ASKS: Final = alternatives(
    "{n1} ideas for a {adj} {noun}, {wish}|{noun} vs {noun}?|pros and cons: {action}|name {n2} words that fit a "
    "{adj} {noun}|{wish}: {ask}|{noun} {place} {year}|best {noun} under {price}?"
)
_LANGUAGES: Final = (
    "German",
    "French",
    "Spanish",
    "Polish",
    "Hindi",
    "Turkish",
    "Japanese",
    "Portuguese",
    "English",
)


@dataclasses.dataclass(slots=True)
class Person:
    """A writer of free prompts with habits.

    Parameters
    ----------
    topics : names in :data:`~linkage.worlds.wording.TOPICS` this person writes about.
    weights : cumulative weights of the forms in :data:`FORMS`.
    log_output : natural log of the usual output tokens of this person.
    greeting, signature : put before and after some prompts; may be empty.
    repeat_share : how often the last prompt is sent again (0 to 1).
    lowercase : writes everything small.
    fillers : words this person puts in now and then.
    looseness : how often a word is followed by a filler or mistyped (0 to 1).
    terse : leaves out articles.
    """

    topics: Sequence[str]
    weights: Sequence[float]
    log_output: float
    language: str = "de"
    greeting: str = ""
    signature: str = ""
    repeat_share: float = 0.05
    lowercase: bool = False
    fillers: Sequence[str] = ()
    looseness: float = 0.0
    terse: bool = False
    _last: Written | None = None

    def write(self, rand: random.Random, *, at_ms: int, limited: bool) -> Written:
        """A new prompt, or the last one again after a refusal and now and then."""
        if self._last is not None and rand.random() < self.repeat_share:
            return self._last
        form = rand.choices(FORMS, cum_weights=self.weights)[0]
        grammar = TOPICS[pick(rand, self.topics)]
        text, extra = self._compose(form, grammar, rand)
        if form not in ("code", "foreign"):
            text = self._say(text, rand)
        self._last = Written(text, self.log_output + extra)
        return self._last

    def _compose(self, form: str, grammar: Grammar, rand: random.Random) -> tuple[str, float]:
        if form == "question":
            return self._dress(grammar.grow("{about}. {ask}", rand), rand), 0.0
        if form == "chat":
            text = grammar.grow("{open}, {about}. {about}, {linker} {problem}. {ask} {wish}", rand)
            return self._dress(text, rand), 0.2
        if form == "story":
            return self._dress(grammar.grow(pick(rand, _STORY_ASKS), rand), rand), 1.2
        if form == "paste":
            return self._paste(grammar, rand), 0.1
        if form == "code":
            return CODE.grow("{prompt}", rand), 0.5
        if form == "foreign":
            return FOREIGN[self.language].grow("{prompt}", rand), 0.1
        if form == "list":
            return grammar.grow(pick(rand, _LIST_ASKS), rand), -0.2
        return grammar.grow("{follow}", rand), -0.3

    def _paste(self, grammar: Grammar, rand: random.Random) -> str:
        ask = pick(rand, _PASTE_ASKS).replace("{language}", pick(rand, _LANGUAGES))
        return grammar.grow(ask, rand) + "\n\n" + document(grammar, rand, 1 + int(rand.expovariate(0.7)))

    def _say(self, text: str, rand: random.Random) -> str:
        """The text as this person would type it; pasted documents (after the first line) stay as they are."""
        first, rest, pasted = text.partition("\n\n")
        said: list[str] = []
        for word in first.split(" "):
            if self.terse and word in _ARTICLES:
                continue
            chance = rand.random() if self.fillers else 1.0
            if chance < self.looseness / 4 and len(word) > 4:
                word = f"{word[:2]}{word[3]}{word[2]}{word[4:]}"
            said.append(word)
            if self.looseness / 4 <= chance < self.looseness:
                said.append(pick(rand, self.fillers))
        typed = " ".join(said)
        return f"{typed.lower() if self.lowercase else typed}{rest}{pasted}"

    def _dress(self, text: str, rand: random.Random) -> str:
        if self.greeting and rand.random() < 0.5:
            text = f"{self.greeting} {text}"
        if self.signature and rand.random() < 0.4:
            text = f"{text}\n{self.signature}"
        return text


_GREETINGS: Final = (
    "",
    "",
    "",
    "Hi!",
    "Hello,",
    "Dear assistant,",
    "hey",
    "Please:",
    "ok",
    "Task:",
    "Question:",
)
_SIGNATURES: Final = (
    "",
    "",
    "",
    "",
    "Thanks!",
    "thx",
    "Cheers, {first}",
    "Best, {person}",
    "pls",
    "-- {first}",
)

_ARTICLES: Final = frozenset(("a", "an", "the", "The"))
_FILLERS: Final = alternatives(
    "basically|actually|sort of|kind of|tbh|imo|afaik|you know|I guess|maybe|perhaps|really|just|simply|honestly|"
    "as I said|if possible|at least|more or less|obviously|somehow|literally|apparently|in a way|by the way|fwiw|"
    "so to speak|I think|roughly|clearly|again|though|anyway|well|hmm|ok|right|please|pls|kindly|ideally|probably|"
    "supposedly|in theory|to be fair|let's say|or so|etc|no?|haha|!!|...|- |:)|;|, um,|, like,|, well,|(sorry)|(?)"
)
_KINDS: Final[Mapping[str, Sequence[float]]] = {
    # question, chat, story, paste, code, follow, foreign, list
    "person": (0.34, 0.22, 0.05, 0.1, 0.03, 0.16, 0.0, 0.1),
    "developer": (0.1, 0.08, 0.01, 0.04, 0.6, 0.12, 0.0, 0.05),
    "author": (0.08, 0.1, 0.55, 0.1, 0.0, 0.13, 0.0, 0.04),
    "reader": (0.1, 0.1, 0.02, 0.65, 0.02, 0.08, 0.0, 0.03),
    "foreign": (0.05, 0.03, 0.02, 0.05, 0.03, 0.05, 0.72, 0.05),
}


def make_person(rand: random.Random, *, kind: str, log_output: float, repeat_share: float = 0.05) -> Person:
    """A person with habits drawn at random.

    Parameters
    ----------
    kind : ``person``, ``developer``, ``author`` (long outputs), ``reader`` (long inputs) or ``foreign``.
    log_output : natural log of the usual output tokens in this world.
    repeat_share : how often people send a prompt again in this world (0 to 1).

    Raises
    ------
    KeyError : a kind that does not exist.
    """
    topics = rand.sample(sorted(TOPICS), 2 + int(rand.random() * 4))
    weights = [weight * rand.uniform(0.4, 1.6) for weight in _KINDS[kind]]
    grammar = TOPICS[topics[0]]
    return Person(
        topics=topics,
        weights=[math.fsum(weights[: index + 1]) for index in range(len(weights))],
        log_output=log_output + rand.gauss(0, 0.45),
        language=pick(rand, sorted(FOREIGN)),
        greeting=pick(rand, _GREETINGS),
        signature=grammar.grow(pick(rand, _SIGNATURES), rand),
        repeat_share=min(0.5, repeat_share * rand.expovariate(1.0)),
        lowercase=rand.random() < 0.2,
        fillers=rand.sample(_FILLERS, 4),
        looseness=rand.choice((0.0, 0.02, 0.05, 0.08, 0.12, 0.2)),
        terse=rand.random() < 0.2,
    )
