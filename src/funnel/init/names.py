"""The meaning of names of columns and files, by their words in several languages."""

from __future__ import annotations

import re
import unicodedata

_ID_WORDS = """
    id ids no nr num number nummer key code hash uuid guid pk fk numero identifier ref
"""
_ID = frozenset(_ID_WORDS.split())

#: By key, words for what it identifies.
_ROLES = {
    "user_id": """
    user users customer customers visitor visitors client clients member members account buyer
    buyers person persons people profile shopper shoppers consumer subscriber subscribers viewer
    player guest uid cust reader listener patron kunde kunden kund nutzer besucher utilisateur
    cliente clientes usuario klant uzytkownik
    """,
    "item_id": """
    item items product products sku skus article articles asin ad ads advert movie movies film
    films track tracks song songs book books isbn content contents offer offers listing listings
    doc document documents news post posts video videos hotel hotels property game games recipe
    recipes good goods pid ean gtin iid course courses job jobs restaurant restaurants poi venue
    creative creatives artikel produkt produkte produit produits producto productos articulo
    prodotto material variant variants business catalog catalogue stock merchandise inventory
    """,
    "request_id": """
    request requests impression impressions query search list slate pageview response serve
    auction qid recommendation widget anfrage
    """,
}  # fmt: skip
ROLES = {key: frozenset(words.split()) for key, words in _ROLES.items()}

#: Words that are ids by themselves: a "lineitem sku".
_CODES = frozenset({"sku", "asin", "isbn", "ean", "gtin", "uid", "pid", "iid"})

#: Words beside a role that say that a column is about something else.
_ABOUT_WORDS = """
    age brand categories category city class count country description email gender group image
    image_url language level link list name parent price score segment session status tag tags
    text title type url
"""
_ABOUT = frozenset(_ABOUT_WORDS.split())

_EXACT = {
    "time": """
    time timestamp ts datetime date when at zeit datum zeitpunkt fecha heure jour created
    occurred epoch moment day unix utc visited viewed clicked_at
    """,
    "position": """
    position pos rank slot place index platz posicion rang
    """,
    "clicked": """
    clicked click is_click is_clicked was_clicked has_click label klick geklickt clic
    """,
    "kind": """
    event events action type kind interaction behavior behaviour activity verb aktion ereignis
    evento
    """,
}  # fmt: skip
EXACT = {key: frozenset(words.split()) for key, words in _EXACT.items()}

#: Words in names of files that are logs, and that are impressions.
LOGS = frozenset(
    [
        "events",
        "event",
        "interactions",
        "interaction",
        "log",
        "logs",
        "clicks",
        "click",
        "actions",
        "activity",
        "history",
        "ratings",
        "rating",
        "orders",
        "order",
        "purchases",
        "purchase",
        "transactions",
        "transaction",
        "views",
        "view",
        "clickstream",
        "behavior",
        "behaviour",
        "sales",
        "sessions",
        "ereignisse",
        "bestellungen",
        "klicks",
    ]
)
SHOWN = frozenset(
    ["impressions", "impression", "shown", "exposures", "exposure", "slates", "recommendations", "served"]
)


def words(name: str) -> list[str]:
    """The words of a name, in small letters: `customerNo`, `CUSTOMER-NO` and `customer no` are two words."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    apart = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", plain)
    return [word for word in re.split(r"[^a-z0-9]+", apart.lower()) if word]


def role(key: str, name: str) -> float:
    """From 0 to 1, how much a name is that of an id: "user_id" 1, "customer no" 0.9, "user" 0.8, "name" 0.

    >>> role("user_id", "customerNumber"), role("item_id", "product_name")
    (0.9, 0.0)
    """
    if name == key:
        return 1.0
    parts = _apart(key, words(name))
    mine = [word for word in parts if word in ROLES[key]]
    rest = [word for word in parts if word not in ROLES[key] and word not in _ID]
    if not mine or _ABOUT & set(rest):
        return 0.0
    has_id = len(mine) + len(rest) < len(parts)
    if rest:
        return 0.5 if has_id or _CODES & set(mine) else 0.0
    return 0.9 if has_id else 0.8


def _apart(key: str, parts: list[str]) -> list[str]:
    """`userid` and `productid` are two words each."""
    apart = []
    ends = ("id", "nr", "no", "key", "nummer", "number", "num", "code")
    for word in parts:
        stem = next((word.removesuffix(end) for end in ends if word.endswith(end)), word)
        apart += [stem, "id"] if word not in ROLES[key] and stem in ROLES[key] else [word]
    return apart


def is_key_word(name: str) -> bool:
    """Whether a name says that values are ids or codes, and no amounts."""
    parts = words(name)
    return bool(parts) and parts[-1] in _ID - {"num", "number", "no", "nr", "numero", "nummer"}


def is_bare_id(name: str) -> bool:
    """`id`, `key`, `code`: the key of whatever the table is of."""
    return bool(words(name)) and set(words(name)) <= _ID


def exact(key: str, name: str) -> float:
    """1 where the whole name is one of the words of a key, 0.7 where its last or first is, 0 else."""
    parts = words(name)
    if "_".join(parts) in EXACT[key] or name == key:
        return 1.0
    if parts and (parts[-1] in EXACT[key] or parts[0] in EXACT[key]):
        return 0.7
    return 0.0


def stem_is(path: str, wanted: frozenset[str]) -> bool:
    """Whether the name of a file has one of these words."""
    return bool(set(words(path)) & wanted)
