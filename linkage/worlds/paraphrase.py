"""Templates that say the same in other words, in other languages, or as everybody's public library says it."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Mapping, Sequence
from typing import Final

from linkage.worlds.scaffolds import Scaffold, make_scaffold
from linkage.worlds.wording import COMMON, Grammar, alternatives, coin, pick

_SENTENCE_START = re.compile(r"(?:^|(?<=\. ))[a-z]")

_WORDS = Grammar(
    {
        "think": alternatives("think|reason|reflect|deliberate|work"),
        "full": alternatives("complete|full|entire|whole|unabridged|detailed"),
        "show": alternatives("show|write out|spell out|lay out|record|reveal|put down"),
        "skip": alternatives("skip|omit|leave out|drop|shorten"),
        "person_": alternatives("specialist|expert|scholar|professional|authority|veteran|analyst"),
        "careful": alternatives("careful|meticulous|rigorous|patient|thorough|exacting|attentive"),
        "wrong": alternatives("mistakes|errors|slips|faults|flaws"),
        "end": alternatives("finally|at the end|once done|last|to close|afterwards"),
    },
    bases=[COMMON],
)

_UNITS: Final[Mapping[str, Sequence[str]]] = {
    "role": (
        "You are a {careful} {person_} in the field below.",
        "Imagine yourself as somebody who has taught this subject for {n2} years.",
        "Take on the role of a {careful} examiner whose notes are published.",
        "Pretend that a {person_} hired you because nobody explains better.",
        "Your job: that of a {person_} known for {careful} work.",
        "Here speaks a {careful} tutor; become that tutor.",
        "Adopt the mindset of a researcher preparing lecture material.",
        "Assume expertise at the level of a {person_} with decades behind them.",
    ),
    "task": (
        "Solve what follows and {show} your {full} chain of thought.",
        "Below stands a challenge. {show} every inference on the way to its resolution.",
        "Please handle this exercise; a {full} derivation matters more than brevity.",
        "I need the {full} line of argument that leads from given facts to the result.",
        "Treat the input as an exam question and {think} aloud until it is settled.",
        "Your reader wants to see how one gets there, so {show} intermediate stages one by one.",
        "{think} through this case slowly, documenting each move.",
        "Work towards a solution while keeping a {full} log of considerations.",
    ),
    "depth": (
        "Never {skip} a step, however obvious.",
        "Even trivial transitions deserve a sentence of their own.",
        "Length is welcome: several hundred words are expected.",
        "Discuss alternatives that you reject and tell why.",
        "Make assumptions explicit before relying on them.",
        "Whenever there are branches, explore all of them in order.",
        "Explain as though a student had asked for the third time.",
        "Be exhaustive rather than elegant.",
    ),
    "check": (
        "{end}, look for {wrong} and repair them visibly.",
        "Verify by a second method before committing.",
        "Double-check numbers, names and units.",
        "Test your conclusion against a simple instance.",
        "Ask what could refute you; answer that too.",
        "Reread everything critically, then confirm or revise.",
        "State how confident this leaves you and what remains open.",
        "Try to break the result with a counterexample.",
    ),
    "style": (
        "Use ordinary prose, no bullets.",
        "Number your paragraphs.",
        "Write in a calm, instructive voice.",
        "Formulas go on separate lines.",
        "Prefer first person plural.",
        "Short sentences read best here.",
        "Avoid rhetorical questions and jokes.",
        "Keep a textbook tone throughout.",
    ),
}


@dataclasses.dataclass(frozen=True, slots=True)
class Intent:
    """What a paraphrased template means: the same slots and output format in every wording.

    Parameters
    ----------
    slots : what fills it.
    label : mark before the slot.
    form : the output format, word for word the same for all.
    units : which parts of the meaning it has.
    """

    slots: tuple[str, ...]
    label: str
    form: str
    units: tuple[str, ...]


def make_intent(rand: random.Random, *, slot: str) -> Intent:
    """A meaning to be paraphrased, for items of one kind."""
    thought, answer = f"{coin(rand, 1)}_thought", f"{coin(rand, 1)}_answer"
    form = (
        f"Format: <{thought}> ... </{thought}> <{answer}> ... </{answer}>, with the whole reasoning in {thought} and "
        f"only the final result in {answer}."
    )
    extra = rand.sample(("depth", "check", "style"), 2 + (rand.random() < 0.5))
    return Intent((slot,), f"[{coin(rand, 1).upper()}]", form, ("role", "task", *extra))


def word_intent(intent: Intent, rand: random.Random) -> Scaffold:
    """One wording of the meaning: other sentences in another order around the same slot and format.

    Two wordings share about 0.2 to 0.4 of their words (Jaccard index of lower-case word sets).
    """
    first, *rest = intent.units
    rand.shuffle(rest)
    order = [first, *rest] if rand.random() < 0.6 else [*rest, first]
    said = [_WORDS.grow(pick(rand, _UNITS[unit]), rand) for unit in order]
    text = _SENTENCE_START.sub(lambda start: start[0].upper(), " ".join(said))
    gap = pick(rand, ("\n", "\n\n", " "))
    if rand.random() < 0.5:
        return Scaffold((f"{text}{gap}{intent.form}\n{intent.label} ", ""), intent.slots)
    return Scaffold((f"{text}\n{intent.label} ", f"\n{intent.form}"), intent.slots)


_TRACES: Final[Mapping[str, tuple[str, str, str]]] = {
    "en": (
        "Think aloud and write down your whole train of thought before the answer.",
        "Do not shorten the reasoning; every idea counts, also the ones you give up.",
        "Problem",
    ),
    "de": (
        "Denke laut nach und schreibe deinen gesamten Gedankengang vor der Antwort auf.",
        "Kürze die Überlegungen nicht; auch verworfene Ansätze gehören dazu.",
        "Aufgabe",
    ),
    "fr": (
        "Réfléchis à voix haute et note tout ton raisonnement avant la réponse.",
        "N'abrège rien ; les pistes abandonnées comptent aussi.",
        "Problème",
    ),
    "es": (
        "Piensa en voz alta y escribe todo tu razonamiento antes de la respuesta.",
        "No resumas nada; también cuentan las ideas que descartes.",
        "Problema",
    ),
    "pt": (
        "Pense em voz alta e escreva todo o seu raciocínio antes da resposta.",
        "Não resuma nada; as ideias abandonadas também contam.",
        "Questão",
    ),
    "it": (
        "Ragiona ad alta voce e scrivi tutto il tuo ragionamento prima della risposta.",
        "Non abbreviare; contano anche le idee scartate.",
        "Quesito",
    ),
    "pl": (
        "Myśl na głos i zapisz cały tok rozumowania przed odpowiedzią.",
        "Niczego nie skracaj; liczą się też porzucone pomysły.",
        "Zadanie",
    ),
    "nl": (
        "Denk hardop en schrijf je hele gedachtegang op voor het antwoord.",
        "Kort niets in; ook verworpen ideeën tellen mee.",
        "Opgave",
    ),
}


def make_traces(rand: random.Random, *, slot: str) -> list[Scaffold]:
    """Templates that ask for the whole reasoning, one in each of eight languages."""
    mark, close = coin(rand, 2), pick(rand, ("", "\n\n->", "\n###"))
    found = []
    for think, keep, label in _TRACES.values():
        text = f"{think} {keep}" if rand.random() < 0.5 else f"{keep} {think}"
        found.append(Scaffold((f"{text}\n<{mark}>\n{label}: ", f"\n</{mark}>{close}"), (slot,)))
    return found


_PUBLIC: Final = (
    Scaffold(
        (
            "Answer the following question as best you can, using the tools at hand.\n\nUse this "
            "format:\n\nQuestion: the input question\nThought: what to do next\nAction: one of the tools\nAction "
            "Input: its input\nObservation: its result\n... (repeat as needed)\nFinal Answer: the "
            "answer\n\nBegin!\n\nQuestion: ",
            "\nThought:",
        ),
        ("question",),
    ),
    Scaffold(
        (
            "Use the following pieces of context to answer the question at the end. If the context does not "
            "tell, say that you don't know.\n\nContext:\n",
            "\n\nQuestion: ",
            "\nHelpful answer:",
        ),
        ("passage", "question"),
    ),
    Scaffold(
        (
            "Extract the entities from the text and return them as JSON that matches the schema. Only return the "
            "JSON.\n\nText:\n",
            "\n\nJSON:",
        ),
        ("record",),
    ),
    Scaffold(("Write a concise summary of the following:\n\n\n", "\n\n\nCONCISE SUMMARY:"), ("paper",)),
    Scaffold(
        (
            "Below is an instruction that describes a task. Write a response that appropriately completes the "
            "request.\n\n### Instruction:\n",
            "\n\n### Response:\n",
        ),
        ("question",),
    ),
    Scaffold(
        (
            "Given the conversation and a follow-up question, rephrase the follow-up question to be a standalone "
            "question.\n\nChat history:\n",
            "\nFollow-up input: ",
            "\nStandalone question:",
        ),
        ("passage", "question"),
    ),
    Scaffold(("Q: ", "\nA: Let's think step by step."), ("math",)),
    Scaffold(("Classify the sentiment as positive, negative or neutral.\n\nText: ", "\nSentiment:"), ("review",)),
)


def make_public(rand: random.Random) -> list[Scaffold]:
    """The 15 public templates of a world: eight that every world knows, seven of its own."""
    tasks = rand.sample(("support", "describe", "extract", "answer", "digest", "tutor", "lint", "math", "coding"), 7)
    return [*_PUBLIC, *(make_scaffold(task, rand) for task in tasks)]
