"""Words and grammars that simulated prompts are made of; all of them invented for this package.

A :class:`Grammar` grows text from rules. ``{symbol}`` in a rule stands for one of the alternatives of
another rule or for one of the :data:`TERMINALS`, which make numbers, dates and names up.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Final

_SYMBOL = re.compile(r"\{([a-z0-9_]+)\}")


def alternatives(text: str) -> list[str]:
    """The alternatives in a text that separates them by ``|``.

    Examples
    --------
    >>> alternatives("one|another")
    ['one', 'another']
    """
    return text.split("|")


_ONSETS = alternatives("b|br|c|cl|d|dr|f|fl|g|gr|h|j|k|kr|l|m|n|p|pl|qu|r|s|sh|st|t|tr|v|w|z")
_VOWELS = alternatives("a|e|i|o|u|ai|ea|io|ou")
_CODAS = alternatives("|n|r|l|s|x|nd|rk|lt|m|t")

FIRST_NAMES: Final = alternatives(
    "Aisha|Alan|Amara|Anke|Arjun|Beatriz|Bruno|Carla|Chidi|Daria|Dilan|Edwin|Elena|Farid|Fatou|Greta|Hana|Hugo|"
    "Ines|Ivo|Jonas|Kamila|Kenji|Lara|Leila|Lorenzo|Maja|Malik|Mei|Milan|Nadia|Noor|Olga|Omar|Paula|Pedro|Priya|"
    "Rafael|Rania|Ruth|Samir|Sofia|Tariq|Tomas|Ulla|Vera|Viktor|Wanda|Yara|Yusuf|Zoe|Zuri"
)
MONTHS: Final = alternatives("January|February|March|April|May|June|July|August|September|October|November|December")


def pick(rand: random.Random, choices: Sequence[str]) -> str:
    """One of the choices, each as likely as the others.

    Examples
    --------
    >>> pick(random.Random(1), ["only"])
    'only'
    """
    return choices[int(rand.random() * len(choices))]


def coin(rand: random.Random, syllables: int = 2) -> str:
    """A made-up word such as ``brealto``, lower case; a name no other world is likely to have.

    Examples
    --------
    >>> coin(random.Random(3)).isalpha()
    True
    """
    made = "".join(pick(rand, _ONSETS) + pick(rand, _VOWELS) for _ in range(syllables))
    return made + pick(rand, _CODAS)


def _digits(low: int, high: int) -> Callable[[random.Random], str]:
    return lambda rand: str(low + int(rand.random() * (high - low)))


TERMINALS: Final[Mapping[str, Callable[[random.Random], str]]] = {
    "n1": _digits(2, 10),
    "n2": _digits(11, 100),
    "n3": _digits(101, 1000),
    "n4": _digits(1001, 10000),
    "n5": _digits(10001, 100000),
    "year": _digits(1985, 2027),
    "hex": lambda rand: f"{rand.getrandbits(32):08x}",
    "coin": lambda rand: coin(rand, 2),
    "brand": lambda rand: coin(rand, 2).capitalize(),
    "place": lambda rand: coin(rand, 3).capitalize(),
    "person": lambda rand: f"{pick(rand, FIRST_NAMES)} {coin(rand, 2).capitalize()}",
    "first": lambda rand: pick(rand, FIRST_NAMES),
    "date": lambda rand: f"{1 + int(rand.random() * 28)} {pick(rand, MONTHS)} {2019 + int(rand.random() * 8)}",
    "price": lambda rand: f"{rand.random() * 900 + 2:.2f}",
    "snake": lambda rand: f"{coin(rand, 1)}_{coin(rand, 2)}",
}
"""Symbols that are made up each time: numbers by digits, dates, names, identifiers."""

Parts = tuple[str, ...]


class Grammar:
    """Rules that grow text; the same generator state gives the same text.

    Parameters
    ----------
    rules : symbol to its alternatives; an alternative names other symbols in braces.
    bases : grammars whose rules are taken over first; later ones and ``rules`` win.

    Examples
    --------
    >>> Grammar({"greeting": ["hello {name}"], "name": ["world"]}).grow("{greeting}!", random.Random(0))
    'hello world!'
    """

    def __init__(self, rules: Mapping[str, Sequence[str]], *, bases: Sequence[Grammar] = ()) -> None:
        self._rules: dict[str, tuple[Parts, ...]] = {}
        for base in bases:
            self._rules.update(base._rules)
        self._rules.update({name: tuple(map(_split, texts)) for name, texts in rules.items()})
        self._known: dict[str, Parts] = {}

    def grow(self, text: str, rand: random.Random) -> str:
        """The text with every symbol in it replaced; an unknown symbol is a ``KeyError``."""
        parts = self._known.get(text)
        if parts is None:
            parts = self._known[text] = _split(text)
        out: list[str] = []
        self._append(parts, rand, out)
        return "".join(out)

    def _append(self, parts: Parts, rand: random.Random, out: list[str]) -> None:
        is_symbol = False
        for part in parts:
            if not is_symbol:
                out.append(part)
            elif part in self._rules:
                choices = self._rules[part]
                self._append(choices[int(rand.random() * len(choices))], rand, out)
            else:
                out.append(TERMINALS[part](rand))
            is_symbol = not is_symbol


def _split(text: str) -> Parts:
    return tuple(_SYMBOL.split(text))


_TOPICS: Final[Mapping[str, tuple[str, str, str]]] = {
    "cooking": (
        "sourdough starter|lentil stew|cast iron pan|pizza dough|meal plan|fermented cabbage|birthday cake|slow "
        "cooker|spice mix|chicken stock|vegan cheese|rice paper rolls",
        "proof the dough overnight|keep the sauce from splitting|halve the recipe|cook for {n2} people|replace "
        "the eggs|freeze the leftovers",
        "it turns out soggy|the crust burns first|my kid is allergic to nuts|the oven runs hot",
    ),
    "gardening": (
        "tomato seedling|raised bed|compost heap|apple tree|drip irrigation|lavender hedge|slug trap|greenhouse|"
        "meadow mix|balcony planter|rose bush|soil test",
        "prune it before winter|start seeds indoors|deal with clay soil|water less often|attract bees",
        "the leaves turn yellow|aphids come back|there is hardly any sun|we get late frost",
    ),
    "travel": (
        "night train|itinerary|hostel|visa form|rental car|ferry crossing|hiking trail|travel insurance|city "
        "pass|airport transfer|camper van|packing list",
        "plan {n1} days in {place}|find a quiet beach|avoid the crowds|travel with a toddler|pack light",
        "the flight was cancelled|our budget is {n3} euros|trains are on strike|we arrive after midnight",
    ),
    "fitness": (
        "half marathon|kettlebell routine|knee brace|stretching plan|protein shake|swim session|rowing machine|"
        "resting heart rate|yoga class|cadence drill|pull-up bar|step count",
        "run {n1} km without stopping|build up slowly|train three times a week|recover faster|warm up properly",
        "my knee hurts afterwards|I only have {n2} minutes|I keep skipping days|sleep is poor lately",
    ),
    "finance": (
        "savings plan|index fund|mortgage offer|tax return|emergency fund|credit score|pension statement|expense "
        "report|bank transfer|student loan|invoice template|household budget",
        "compare two offers|pay it off early|track spending|split costs with {first}|file it late",
        "the rate went up to {n1} percent|I moved abroad in {year}|numbers do not add up|the form is confusing",
    ),
    "law": (
        "rental contract|notice period|warranty claim|privacy policy|employment agreement|small claims court|"
        "power of attorney|licence clause|noise complaint|deposit dispute|parking fine|will",
        "cancel before the deadline|answer the letter|understand clause {n1}|negotiate the terms|object formally",
        "the landlord refuses|nobody signed page {n1}|the deadline was {date}|they charge {price} extra",
    ),
    "health": (
        "blood test|migraine diary|sleep schedule|allergy season|physiotherapy|vaccination record|back pain|iron "
        "level|contact lenses|low-salt diet|first-aid kit|hearing test",
        "prepare for the appointment|read the results|cut down on sugar|ask the right questions|sit less",
        "it has lasted {n1} weeks|the doctor was in a hurry|I take {n1} tablets a day|it wakes me at night",
    ),
    "history": (
        "trade route|city wall|peace treaty|shipping ledger|guild|harvest failure|printing workshop|railway boom|"
        "census of {year}|canal project|colonial post|folk song",
        "explain its causes|compare two accounts|date the document|summarise the debate|find primary sources",
        "sources contradict each other|the textbook skips it|the translation is poor|dates are uncertain",
    ),
    "physics": (
        "pendulum|heat pump|magnetic field|optical fibre|spring constant|wave equation|vacuum chamber|"
        "superconductor|torque wrench|phase diagram|cloud chamber|Doppler shift",
        "derive the formula|estimate the error|explain it with an analogy|solve for the period|sketch the graph",
        "units do not match|friction is ignored|the limit is unclear|the result is off by {n1} percent",
    ),
    "biology": (
        "cell membrane|pollen sample|enzyme assay|food web|bird migration|gut flora|seed bank|coral reef|protein "
        "folding|lichen survey|antibody test|gene map",
        "describe the cycle|design an experiment|label the diagram|compare two species|explain the pathway",
        "the control group failed|samples were mixed up|n is only {n2}|results vary by season",
    ),
    "music": (
        "chord progression|violin bow|mixing desk|choir rehearsal|drum pattern|guitar amp|lyric sheet|setlist|"
        "metronome|sight reading|synth patch|record label",
        "write a bridge|transpose it to {n1} flats|practise for {n2} minutes|fix the timing|name the key",
        "the tempo drifts|the singer is ill|it sounds muddy|we play on {date}",
    ),
    "film": (
        "opening scene|storyboard|documentary pitch|voice-over|casting call|shot list|subtitle file|villain|plot "
        "twist|festival entry|dialogue|sound design",
        "rewrite the ending|tighten act two|describe the set|give {first} a motive|cut {n2} seconds",
        "the budget is {n4}|the joke falls flat|test viewers were bored|the script is {n3} pages",
    ),
    "parenting": (
        "bedtime routine|homework fight|school lunch|screen time|birthday party|baby sling|reading log|tantrum|"
        "pocket money|summer camp|swimming lesson|class chat",
        "calm things down|agree on rules|make mornings easier|talk about feelings|plan a rainy day",
        "our {n1} year old refuses|the teacher wrote again|grandparents disagree|siblings are jealous",
    ),
    "pets": (
        "rescue dog|litter box|aquarium filter|vet bill|leash training|hamster cage|parrot|cat carrier|flea comb|"
        "puppy class|kibble|horse blanket",
        "stop the barking|introduce a second cat|travel by train|change food slowly|clip the nails",
        "he chews on cables|she hides all day|it weighs {n2} kg|the vet is closed",
    ),
    "home": (
        "heat pump|leaking tap|paint roller|loft insulation|washing machine|door frame|tile grout|fuse box|"
        "curtain rail|water meter|kitchen worktop|smoke alarm",
        "fix it without a plumber|measure the window|sand the floor|find the stud|reset the boiler",
        "it drips every {n2} seconds|the manual is lost|we rent the place|the wall is uneven",
    ),
    "careers": (
        "cover letter|job interview|performance review|salary talk|career break|reference letter|portfolio|"
        "onboarding week|team lead role|notice letter|remote contract|elevator pitch",
        "sound less stiff|explain a gap in {year}|ask for {n1} percent more|answer the weakness question|say no",
        "my boss is leaving|they want {n1} references|I have no degree|the posting is vague",
    ),
    "marketing": (
        "landing page|newsletter|press release|customer survey|loyalty scheme|trade fair|brand guide|ad copy|"
        "product launch|webinar|referral code|case study",
        "write {n1} subject lines|find the tone|target small shops|announce the price change|shorten the pitch",
        "open rates fell to {n1} percent|the logo changed|legal wants a disclaimer|competitor {brand} is cheaper",
    ),
    "logistics": (
        "pallet label|customs form|delivery window|packing slip|warehouse shelf|forklift licence|return rate|"
        "cold chain|freight quote|stock count|loading dock|route plan",
        "cut delays|reorder at {n2} units|compare carriers|split the shipment|trace parcel {n5}",
        "the truck left early|{n2} boxes are missing|fuel is expensive|the scanner is offline",
    ),
    "teaching": (
        "lesson plan|quiz|seating chart|rubric|field trip|parent evening|group project|reading list|lab safety "
        "sheet|spelling test|report card|exam paper",
        "write {n1} exercises|grade faster|explain fractions|engage shy pupils|differentiate tasks",
        "class {n1}b is restless|there are {n2} pupils|the projector is broken|half of them were ill",
    ),
    "statistics": (
        "regression table|survey weight|outlier|confidence interval|time series|scatter plot|sample size|p-value|"
        "missing data|control chart|histogram|random effect",
        "choose the right test|explain it to my boss|check assumptions|pool {n1} studies|plot it clearly",
        "n is {n3}|residuals look odd|reviewer {n1} objects|the variable is skewed",
    ),
    "databases": (
        "slow query|foreign key|migration script|read replica|partial index|connection pool|backup job|"
        "materialized view|deadlock|audit table|row lock|query plan",
        "rename the column|avoid a full scan|paginate {n4} rows|dedupe records|roll back safely",
        "it takes {n2} seconds|locks pile up at noon|staging differs from production|the disk is {n2} percent full",
    ),
    "web": (
        "login form|css grid|service worker|search box|cookie banner|image carousel|rate limiter|websocket|dark "
        "mode|router config|drag handle|build pipeline",
        "center the dialog|debounce input|cache responses|cut bundle size|test it headless",
        "it breaks on mobile|the build takes {n1} minutes|state is lost on reload|users on {brand} OS complain",
    ),
    "devops": (
        "container image|deploy key|load balancer|log shipper|health check|secrets vault|staging cluster|cron "
        "job|certificate|alert rule|dns record|rollback plan",
        "restart without downtime|rotate keys|pin versions|limit memory to {n3} MB|trace the request",
        "pods restart every {n2} minutes|port {n4} is taken|the runner is out of disk|metrics are delayed",
    ),
    "games": (
        "dungeon map|card deck|boss fight|skill tree|character sheet|puzzle room|board layout|quest hook|"
        "leaderboard|dice pool|spaceship|trading post",
        "balance the classes|name {n1} factions|describe the tavern|invent a riddle|write patch notes",
        "players get lost|round {n1} drags on|the dragon is too weak|we are {n1} players",
    ),
    "fiction": (
        "lighthouse keeper|letter from the front|lost sister|desert convoy|clockwork bird|orchard in {place}|"
        "retired thief|flooded library|night shift|old radio|wedding toast|island school",
        "open with dialogue|raise the stakes|end on a quiet note|keep it under {n3} words|use second person",
        "chapter {n1} is too slow|the voice slips|it sounds cliched|my editor wants less rain",
    ),
    "poetry": (
        "sonnet|haiku about {place}|farewell speech|birthday rhyme|ballad|free verse|limerick|wedding vow|ode",
        "rhyme every other line|mention {first}|stay under {n2} lines|avoid the word love|keep the metre",
        "it must fit on a card|the reading is on {date}|it feels flat|the last line limps",
    ),
    "languages": (
        "past tense|formal letter|idiom|false friend|listening test|vocabulary list|pronunciation|dialect word|"
        "subjunctive|business email|menu|street sign",
        "correct my text|explain the rule|give {n1} examples|sound natural|remember genders",
        "my exam is on {date}|I keep mixing them up|level B{n1} is too hard|the tone is rude",
    ),
    "climate": (
        "solar panel|carbon budget|river gauge|heat wave|wind farm|peat bog|flood map|emission factor|rain "
        "barrel|district heating|tree canopy|tidal barrier",
        "estimate savings|compare scenarios|explain feedback loops|size the battery|write to the council",
        "payback takes {n2} years|the grid is full|data ends in {year}|neighbours object",
    ),
    "mechanics": (
        "bike chain|gearbox|brake pad|carburettor|ball bearing|torsion spring|hydraulic hose|welding seam|timing "
        "belt|drill press|cnc fixture|torque spec",
        "true the wheel|read the wear|choose tolerance {n1}|mill the slot|torque it to {n2} Nm",
        "it squeaks at {n2} km/h|the bolt sheared|the part is discontinued|it overheats",
    ),
    "philosophy": (
        "trolley case|free will|moral luck|social contract|ship of repairs|paradox of the heap|personal identity|"
        "just war|veil of ignorance|utility monster|thought experiment|duty to strangers",
        "state the strongest objection|define the terms|write {n3} words|compare two schools|defend it",
        "my tutor disagrees|the essay is due {date}|premise {n1} is weak|it begs the question",
    ),
}

_COMMON: Final[Mapping[str, Sequence[str]]] = {
    "adj": alternatives(
        "small|large|cheap|old|new|quick|gentle|reliable|odd|simple|complicated|modern|local|noisy|quiet|strict|"
        "popular|hidden|careful|broken|spare|seasonal|shared|official|handmade|digital|late|early|unusual|minor"
    ),
    "adverb": alternatives(
        "usually|sometimes|in practice|this week|since {year}|before lunch|after the meeting|by {date}|for now|"
        "on paper|every {n1} days|at first|in the end|near {place}|last month|again|as agreed with {first}"
    ),
    "who": alternatives(
        "{person}|the team in {place}|{brand}|our supplier|a colleague|the client|my neighbour|the committee|a "
        "customer from {place}|the reviewer|{first} and {first}|the office|nobody|an intern|the manager of {brand}"
    ),
    "does": alternatives(
        "checked|ordered|replaced|described|forgot|postponed|measured|recommended|returned|complained about|"
        "approved|paid {price} for|tested|asked about|photographed|sold|moved|delivered {n2} of|noticed|repaired"
    ),
    "linker": alternatives("because|although|so|while|and|but|even though|until|after|before"),
    "sentence": alternatives(
        "{who} {does} the {adj} {noun} {adverb}|{adverb}, the {noun} was {adj} and {problem}|{who} {does} {n2} "
        "items near the {noun}, {linker} {problem}|the {adj} {noun} costs {price} {adverb}|{who} wants to "
        "{action} {adverb}|to {action}, {who} {does} the {noun}|there were {n2} {adj} entries about the {noun} "
        "from {date}|{problem}, {linker} {who} {does} the {noun}|{who} said that {who} {does} a {noun}|number "
        "{n4} is the {adj} {noun} that {who} {does}"
    ),
    "open": alternatives(
        "Hi|Hello there|Hey|Quick question|Good morning|Ok so|Random one|Need some help|Second attempt|Hi again|"
        "Please help|Question about my {noun}|Following up on {date}|I am stuck|Bear with me"
    ),
    "about": alternatives(
        "I have a {adj} {noun} and {problem}|we are trying to {action} but {problem}|{who} asked me to {action}|"
        "for context: {problem}|my {noun} is {adj}, {linker} {problem}|I want to {action} before {date}|last "
        "week {who} {does} the {noun}|there is a {adj} {noun} at work|I read that one can {action}|{first} "
        "thinks the {noun} is too {adj}|I spent {n1} hours on the {noun}"
    ),
    "ask": alternatives(
        "how would you {action}?|what should I do about the {noun}?|can you explain how to {action}?|which "
        "{noun} would you choose and why?|is it normal that {problem}?|what am I missing?|write a short note "
        "about the {noun} to {person}|list {n1} ways to {action}|compare a {adj} {noun} with a {adj} one|draft a "
        "reply to {who}|give me a checklist to {action}|how much should a {adj} {noun} cost?|tell me what to "
        "check first|suggest a {adj} alternative to the {noun}|what do people usually get wrong about a {noun}?|"
        "make a table of {n1} options for the {noun}|explain the {noun} as if I were {n2}|write {n1} headlines "
        "about the {noun}|what happens if {who} {does} the {noun}?|help me plan to {action}"
    ),
    "wish": alternatives(
        "keep it under {n3} words|no bullet points please|use plain language|be honest|in a friendly tone|give "
        "numbers where you can|just the essentials|with an example about {place}|short answer first|I already "
        "tried the obvious things|mention {brand}|do not repeat the question|add sources if any|as a table|in "
        "{n1} steps|for a beginner|skip the disclaimer|thanks|thank you so much|two versions"
    ),
    "follow": alternatives(
        "shorter please|and for the {noun}?|what about {problem}|ok but {who} {does} it already|translate that|"
        "more {adj}|why {n1}?|give one more example|that is wrong, {problem}|continue|rewrite the second part|"
        "and if I want to {action}?|make it sound less {adj}|now the same for {place}|no, the {adj} one|great, "
        "now for {person}|use {n2} instead|can {first} do that too?|what does that cost in {place}?"
    ),
    "title": alternatives(
        "{noun} review|a {adj} {noun}|notes on how to {action}|report {n4}: {noun}|{place} {noun} plan|meeting "
        "of {date}|re: {noun}|the {noun} of {person}"
    ),
}

COMMON: Final = Grammar(_COMMON)
TOPICS: Final[Mapping[str, Grammar]] = {
    name: Grammar(
        {"noun": alternatives(nouns), "action": alternatives(actions), "problem": alternatives(problems)},
        bases=[COMMON],
    )
    for name, (nouns, actions, problems) in _TOPICS.items()
}
"""Topic name to a grammar that talks about it (symbols ``noun action problem sentence about ask wish``)."""

_FOREIGN: Final[Mapping[str, Mapping[str, str]]] = {
    "de": {
        "noun": "Mietvertrag|Fahrrad|Garten|Rechnung|Urlaub in {place}|Bewerbung|Heizung|Zeugnis|Rezept|"
        "Steuererklärung|Umzug|Vereinsfest",
        "problem": (
            "es klappt einfach nicht|{first} ist dagegen|die Frist ist am {n2}. abgelaufen|es kostet {price} "
            "Euro|niemand antwortet mir|die Anleitung fehlt"
        ),
        "wish": "bitte kurz|auf Deutsch bitte|mit Beispiel|in {n1} Schritten|ohne Fachwörter|danke im Voraus",
        "prompt": "Hallo, es geht um {noun}: {problem}. Was kann ich tun? {wish}|"
        "Schreibe einen Brief an {person} wegen {noun}, denn {problem}. {wish}|Erkläre mir {noun}, {wish}. "
        "{problem}.|Wie plane ich {noun} für {n2} Leute? {problem}|Kannst du {n1} Ideen zu {noun} nennen? {wish}",
    },
    "fr": {
        "noun": (
            "contrat de location|vélo|jardin|facture|voyage à {place}|lettre de motivation|chaudière|bulletin|"
            "recette|déclaration|déménagement|fête du village"
        ),
        "problem": "rien ne marche|{first} n'est pas d'accord|le délai a expiré|cela coûte {price} euros|"
        "personne ne répond|le mode d'emploi manque",
        "wish": ("en bref s'il te plaît|avec un exemple|en {n1} étapes|sans jargon|merci d'avance|sous forme de liste"),
        "prompt": "Bonjour, au sujet de {noun} : {problem}. Que faire ? {wish}|"
        "Rédige une lettre à {person} à propos de {noun}, car {problem}. {wish}|Explique-moi {noun}, {wish}. "
        "{problem}.|Comment organiser {noun} pour {n2} personnes ? {problem}|Donne {n1} idées sur {noun}. {wish}",
    },
    "es": {
        "noun": (
            "contrato|bicicleta|huerto|factura|viaje a {place}|carta de presentación|caldera|examen|receta|"
            "declaración|mudanza|fiesta del barrio"
        ),
        "problem": (
            "no funciona nada|{first} no quiere|el plazo terminó ayer|cuesta {price} euros|nadie contesta|falta "
            "el manual"
        ),
        "wish": "breve por favor|con un ejemplo|en {n1} pasos|sin tecnicismos|gracias|en forma de tabla",
        "prompt": "Hola, tengo una duda sobre {noun}: {problem}. ¿Qué hago? {wish}|"
        "Escribe un correo a {person} sobre {noun}, porque {problem}. {wish}|Explícame {noun}, {wish}. "
        "{problem}.|¿Cómo organizo {noun} para {n2} personas? {problem}|Dame {n1} ideas sobre {noun}. {wish}",
    },
    "pt": {
        "noun": (
            "contrato|bicicleta|horta|fatura|viagem a {place}|currículo|aquecedor|prova|receita|imposto|mudança|festa"
        ),
        "problem": (
            "nada funciona|{first} não concorda|o prazo acabou|custa {price} reais|ninguém responde|falta o manual"
        ),
        "wish": "resumido por favor|com exemplo|em {n1} passos|sem jargão|obrigado|em lista",
        "prompt": "Olá, sobre {noun}: {problem}. O que devo fazer? {wish}|"
        "Escreva um e-mail para {person} sobre {noun}, pois {problem}. {wish}|Explique {noun}, {wish}. "
        "{problem}.|Como organizar {noun} para {n2} pessoas? {problem}",
    },
    "it": {
        "noun": (
            "contratto|bicicletta|orto|fattura|viaggio a {place}|curriculum|caldaia|esame|ricetta|dichiarazione|"
            "trasloco"
        ),
        "problem": ("non funziona niente|{first} non vuole|la scadenza è passata|costa {price} euro|nessuno risponde"),
        "wish": "in breve|con un esempio|in {n1} passi|senza gergo|grazie mille|come elenco",
        "prompt": "Ciao, riguardo a {noun}: {problem}. Cosa faccio? {wish}|"
        "Scrivi una lettera a {person} su {noun}, perché {problem}. {wish}|Spiegami {noun}, {wish}. {problem}.|"
        "Come organizzo {noun} per {n2} persone? {problem}",
    },
    "pl": {
        "noun": (
            "umowa najmu|rower|ogród|faktura|podróż do {place}|życiorys|piec|egzamin|przepis|podatek|przeprowadzka"
        ),
        "problem": ("nic nie działa|{first} się nie zgadza|termin minął|kosztuje {price} złotych|nikt nie odpowiada"),
        "wish": "krótko proszę|z przykładem|w {n1} krokach|prostym językiem|dzięki",
        "prompt": (
            "Cześć, chodzi o {noun}: {problem}. Co robić? {wish}|Napisz list do {person}, temat: {noun}. "
            "{problem}. {wish}|Wyjaśnij: {noun}, {wish}. {problem}.|Podaj {n1} pomysły, temat: {noun}. {wish}"
        ),
    },
    "nl": {
        "noun": (
            "huurcontract|fiets|tuin|rekening|reis naar {place}|sollicitatie|ketel|examen|recept|aangifte|verhuizing"
        ),
        "problem": ("niets werkt|{first} wil niet|de termijn is voorbij|het kost {price} euro|niemand antwoordt"),
        "wish": "kort graag|met voorbeeld|in {n1} stappen|zonder jargon|alvast bedankt",
        "prompt": (
            "Hoi, over {noun}: {problem}. Wat nu? {wish}|Schrijf een brief aan {person} over {noun}, want "
            "{problem}. {wish}|Leg {noun} uit, {wish}. {problem}.|Hoe regel ik {noun} voor {n2} mensen? {problem}"
        ),
    },
}

FOREIGN: Final[Mapping[str, Grammar]] = {
    language: Grammar({name: alternatives(text) for name, text in rules.items()})
    for language, rules in _FOREIGN.items()
}
"""Language code to a grammar whose ``prompt`` is a short everyday prompt in it."""

CODE: Final = Grammar(
    {
        "type": alternatives("int|str|float|bool|list[int]|dict[str, int]|bytes|Path"),
        "expr": alternatives(
            "{snake}[{n1}]|{snake} + {n2}|len({snake})|{snake}.get('{coin}')|sorted({snake})|{snake} * {n2}|[x "
            "for x in {snake} if x > {n2}]|max({snake}, {n3})|{snake}.strip()|await {snake}()"
        ),
        "line": alternatives(
            "    {snake} = {expr}|    if {snake} > {n2}:\n        {snake} = {expr}|    for {coin} in {snake}:\n  "
            "      {snake}.append({expr})|    assert {expr}, '{coin}'|    logger.info('{coin} %s', {snake})|    "
            "with open({snake}) as {coin}:\n        {snake} = {coin}.read()|    {snake}.update({expr})"
        ),
        "python": [
            "def {snake}({coin}: {type}) -> {type}:\n{line}\n{line}\n{line}\n    return {expr}",
            "class {brand}:\n    def __init__(self, {coin}):\n        self.{snake} = {expr}\n\n    def "
            "{coin}(self):\n        return {expr}",
            "import {coin}\n\ndef {snake}({coin}):\n{line}\n{line}\n    return {expr}",
        ],
        "sql": [
            "select {coin}.{snake}, count(*) as n\nfrom {snake} as {coin}\nwhere {snake} > {n3}\ngroup by "
            "1\norder by n desc\nlimit {n2}",
            "update {snake} set {snake} = {n4} where {coin}_id in (select id from {snake} where {coin} = '{coin}')",
            "create index {snake}_idx on {snake} ({coin}, {snake}) where {coin} is not null",
        ],
        "js": [
            "export const {coin} = async ({coin}) => {{coin}};\nconst {coin} = await "
            "fetch(`/api/{coin}?page={n2}`);\nif (!{coin}.ok) throw new Error('{coin} {n3}');",
            "function {coin}({coin}, {coin}) {\n  const {coin} = {coin}.map((x) => x * {n2});\n  return "
            "{coin}.filter(Boolean);\n}",
        ],
        "shell": [
            'for f in {coin}/*.{coin}; do {coin} --{coin}={n2} "$f" >> {snake}.log; done',
            "docker run --rm -p {n4}:{n4} -e {coin}={hex} {coin}/{coin}:{n1}.{n2}",
        ],
        "trace": [
            'Traceback (most recent call last):\n  File "{coin}/{snake}.py", line {n3}, in {snake}\n '
            "   {expr}\nTypeError: unsupported operand: '{type}' and '{type}'",
            "error[E0{n3}]: {coin} does not live long enough\n  --> src/{coin}.rs:{n3}:{n2}",
            "java.lang.IllegalStateException: {snake} is null\n\tat com.{coin}.{brand}.{coin}({brand}.java:{n3})",
            "npm ERR! code E{n3}\nnpm ERR! missing: {coin}@{n1}.{n2}.{n1}, required by {coin}@{n1}.{n1}.{n2}",
        ],
        "want": alternatives(
            "why does this fail?|make this faster|add type hints|write {n1} tests for this|port it to Go|"
            "refactor this, it is hard to read|what does this do?|find the bug|add error handling for {coin}|"
            "make {snake} configurable|explain line {n1}|convert it to async|is this safe with {n4} rows?|review "
            "this"
        ),
        "prompt": [
            "{want}\n```python\n{python}\n```",
            "{want}\n```sql\n{sql}\n```\nTable {snake} has {n5} rows.",
            "```js\n{js}\n```\n{want}",
            "I get this:\n{trace}\n\ncode:\n{python}\n\n{want}",
            "{trace}\n\n{want}",
            "{shell}\n{want}",
            "Write a {coin} parser: input `{snake}={hex}`, output a dict. {want}",
            "python {n1}.{n2}: {want}\n\n{python}\n\n{python}",
            "How do I {want} in {brand}?\n{sql}",
        ],
    }
)
"""Grammar whose ``prompt`` asks about code, with snippets, traces and queries."""
