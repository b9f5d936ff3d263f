"""Two thousand made-up customers from Türkiye, Russia and the English-speaking world.

Names are common first names and surnames combined by a seeded generator; nobody is meant. Numbers
come from ranges reserved for fiction where they exist (US 555-01xx; UK 020 7946 0xxx, Ofcom),
elsewhere from blocks that no operator has (a subscriber number that begins with 000). Addresses
end in the reserved top-level domain `.example` (RFC 2606).
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from crm_core.model import ContactPoint, PointKind
from crm_core.ports import ContactDraft

_TURKISH_FIRST = (
    "Ayşe Fatma Emine Zeynep Elif Merve Büşra Esra Gül Özlem Derya Sevgi Çiğdem İpek Nazlı "
    "Defne Mehmet Mustafa Ahmet Ali Hüseyin Hasan İbrahim Osman Murat Ömer Yusuf Emre Burak "
    "Çağlar Kerem Onur Şükrü Tolga Uğur Volkan"
).split()
_TURKISH_LAST = (
    "Yılmaz Kaya Demir Şahin Çelik Yıldız Yıldırım Öztürk Aydın Özdemir Arslan Doğan Kılıç "
    "Aslan Çetin Kara Koç Kurt Özkan Şimşek Polat Korkmaz Güneş Işık Ünal Taş Bulut Erdoğdu "
    "Güler Tekin"
).split()
_RUSSIAN_FIRST = (
    "Анна Мария Елена Ольга Татьяна Наталья Ирина Светлана Екатерина Юлия Дарья Ксения "
    "Александр Дмитрий Сергей Андрей Алексей Максим Иван Михаил Никита Павел Роман Фёдор"
).split()
_RUSSIAN_LAST = (
    "Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов "
    "Волков Алексеев Лебедев Семёнов Егоров Павлов Козлов Степанов Николаев Орлов Андреев "
    "Макаров Ёлкин"
).split()
_ENGLISH_FIRST = (
    "Olivia Emma Charlotte Amelia Sophia Grace Hannah Chloe Zoë Lucy Megan Abigail Liam Noah "
    "Oliver James Henry Jack Thomas Samuel Daniel George Conor Ryan"
).split()
_ENGLISH_LAST = (
    "Smith Jones Taylor Brown Williams Wilson Johnson Davies Evans Walker Wright Thompson "
    "Robinson Hughes Hall Green Clarke O'Brien O'Neill McCarthy Bennett Murphy Cooper Bailey"
).split()

_TURKISH_FIRMS = ("Marmara", "Boğaziçi", "Anadolu", "Toros", "Ege", "Kapadokya", "Pera", "Yakamoz")
_TURKISH_TRADES = (
    "Lojistik",
    "Tekstil",
    "Gıda",
    "Yazılım",
    "İnşaat",
    "Turizm",
    "Sigorta",
    "Enerji",
)
_RUSSIAN_FIRMS = ("Северный", "Балтика", "Заря", "Вектор", "Радуга", "Спутник", "Маяк", "Орион")
_RUSSIAN_TRADES = ("Логистика", "Торг", "Строй", "Софт", "Фарма", "Транс", "Мебель", "Сервис")
_ENGLISH_FIRMS = (
    "Harbour",
    "Oakfield",
    "Northgate",
    "Silverline",
    "Bluebell",
    "Kestrel",
    "Acre",
    "Tide",
)
_ENGLISH_TRADES = (
    "Freight",
    "Foods",
    "Software",
    "Travel",
    "Insurance",
    "Energy",
    "Interiors",
    "Labs",
)

_LATIN = str.maketrans("çğıöşüÇĞİÖŞÜë", "cgiosuCGIOSUe", "'")
_CYRILLIC = dict(
    zip(
        "абвгдеёжзийклмнопрстуфхцчшщъыьэюя",
        "a b v g d e yo zh z i y k l m n o p r s t u f kh ts ch sh sch _ y _ e yu ya".split(),
        strict=True,
    )
)

COUNT = 2000

_MOBILE = ("+905", "+79")
"""How mobile numbers begin. American ones cannot be told from those of a landline."""


def _ascii(text: str) -> str:
    latin = text.translate(_LATIN).lower()
    return "".join(_CYRILLIC.get(c, c) for c in latin).replace("_", "").replace(" ", "-")


def _person(index: int, draw: random.Random) -> tuple[str, str, str, str, str]:
    """First name, last name, company, number and a language for the customer with this index."""
    kind = index % 10
    if kind < 5:
        first, last = draw.choice(_TURKISH_FIRST), draw.choice(_TURKISH_LAST)
        firm = f"{draw.choice(_TURKISH_FIRMS)} {draw.choice(_TURKISH_TRADES)}"
        area = draw.choice(("212", "216", "312", "232", "532", "542", "555"))
        return first, last, firm, f"+90{area}000{index:04d}", "tr"
    if kind < 8:
        first, last = draw.choice(_RUSSIAN_FIRST), draw.choice(_RUSSIAN_LAST)
        if first[-1] in "ая":
            last += "а"
        firm = f"{draw.choice(_RUSSIAN_FIRMS)} {draw.choice(_RUSSIAN_TRADES)}"
        area = draw.choice(("495", "499", "812", "999"))
        return first, last, firm, f"+7{area}000{index:04d}", "ru"
    first, last = draw.choice(_ENGLISH_FIRST), draw.choice(_ENGLISH_LAST)
    firm = f"{draw.choice(_ENGLISH_FIRMS)} {draw.choice(_ENGLISH_TRADES)}"
    if kind == 8:
        return first, last, firm, f"+442079460{index // 10:03d}", "en"
    american = (212, 305, 415, 617, 702, 213)[index // 1000]
    return first, last, firm, f"+1{american}55501{index // 10 % 100:02d}", "en"


def customers(count: int = COUNT, *, seed: int = 2026) -> Iterator[ContactDraft]:
    """The demo's customers, in a fixed order; the same for the same seed.

    One in three belongs to a company, whose switchboard they share; one in twenty is VIP.
    """
    draw = random.Random(seed)  # noqa: S311 - made-up names, not secrets
    for index in range(count):
        first, last, firm, number, language = _person(index, draw)
        company = firm if draw.random() < 1 / 3 else ""
        domain = _ascii(company) if company else f"mail-{language}"
        address = f"{_ascii(first)}.{_ascii(last)}.{index}@{domain}.example"
        points = [
            ContactPoint(kind=PointKind.PHONE, value=number, label=_label(number, company)),
            ContactPoint(kind=PointKind.EMAIL, value=address, label="work" if company else ""),
        ]
        if company:
            points.append(
                ContactPoint(
                    kind=PointKind.PHONE, value=_switchboard(company), label="office", shared=True
                )
            )
        yield ContactDraft(
            name=f"{first} {last}",
            external_id=f"C-{10000 + index}",
            account=company,
            kind="customer" if draw.random() < 0.9 else "lead",
            tier="VIP" if draw.random() < 0.05 else "",
            tags=(language,),
            points=tuple(points),
        )


def _label(number: str, company: str) -> str:
    if number.startswith(_MOBILE):
        return "mobile"
    return "work" if company else "home"


def _switchboard(company: str) -> str:
    """The made-up number of a company's switchboard, the same for all who work there."""
    number = sum(ord(c) * (i + 1) for i, c in enumerate(company)) % 10000
    if company[0] in "МСБЗВРО" and ord(company[0]) > 0x400:
        return f"+7812000{number:04d}"
    if company.split(maxsplit=1)[0] in _ENGLISH_FIRMS:
        return f"+120255501{number % 100:02d}"
    return f"+90850000{number:04d}"
