"""Which column of somebody's spreadsheet is which: guessed by its usual names. Pure.

English, Turkish and Russian. Case, accents, punctuation and numbers (`Phone 2`) do not count.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from crm_core.text import folded


class Field(StrEnum):
    """What a column may hold."""

    EXTERNAL_ID = "external_id"
    NAME = "name"
    FIRST_NAME = "first_name"
    MIDDLE_NAME = "middle_name"
    LAST_NAME = "last_name"
    COMPANY = "company"
    PHONE = "phone"
    EMAIL = "email"
    TYPE = "type"
    TIER = "tier"
    TAGS = "tags"
    OWNER = "owner"
    NOTES = "notes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column that was recognised."""

    position: int
    header: str
    field: Field
    label: str = ""
    """Of a phone: `mobile`, `work`, `home`, `switchboard`, or `""`."""

    @property
    def shared(self) -> bool:
        """Whether it holds the company's number instead of a person's."""
        return self.label == "switchboard"


_NAMES: dict[Field, str] = {
    Field.EXTERNAL_ID: """
        id, external id, customer id, client id, contact id, crm id, customer no, customer number,
        customer code, code, number, musteri no, musteri numarasi, musteri kodu, musteri id,
        cari kod, cari kodu, kod, no, ид, код, код клиента, номер клиента, id клиента, внешний id,
        внешний код
    """,
    Field.NAME: """
        name, full name, contact, contact name, contact person, customer, customer name, person,
        ad soyad, adi soyadi, ad ve soyad, isim soyisim, isim soyad, musteri, musteri adi, yetkili,
        yetkili kisi, ilgili kisi, kisi, фио, имя и фамилия, фамилия и имя, имя фамилия,
        фамилия имя, фамилия имя отчество, полное имя, контакт, контактное лицо, клиент,
        имя клиента
    """,
    Field.FIRST_NAME: "first name, firstname, given name, forename, ad, adi, isim, имя",
    Field.MIDDLE_NAME: "middle name, ikinci ad, отчество",
    Field.LAST_NAME: "last name, lastname, surname, family name, soyad, soyadi, soyisim, фамилия",
    Field.COMPANY: """
        company, company name, account, account name, organization, organisation,
        organization name, employer,
        business, firma, firma adi, sirket, sirket adi, kurum, kurulus, unvan, firma unvani,
        компания, название компании, организация, фирма, предприятие
    """,
    Field.EMAIL: """
        email, e mail, emails, e mails, mail, mails, email address, e mail address,
        email addresses, e mail addresses, e mail value, e posta, eposta, e posta adresi,
        eposta adresi, mail adresi, почта,
        электронная почта, эл почта, е mail, имейл, емейл, адрес электронной почты
    """,
    Field.TYPE: """
        type, kind, contact type, customer type, tip, tipi, tur, turu, musteri tipi, musteri turu,
        тип, тип клиента, тип контакта, вид
    """,
    Field.TIER: """
        tier, level, segment, class, rank, category, seviye, sinif, kategori, уровень, сегмент,
        класс, категория
    """,
    Field.TAGS: "tags, tag, labels, label, etiket, etiketler, теги, тег, тэги, метки, метка",
    Field.OWNER: """
        owner, account owner, contact owner, assigned to, agent, manager, account manager,
        sales rep, sorumlu, temsilci, musteri temsilcisi, satis temsilcisi, ответственный,
        менеджер, владелец
    """,
    Field.NOTES: """
        notes, note, comment, comments, remark, remarks, description, not, notlar, aciklama,
        aciklamalar, yorum, заметки, заметка, примечание, примечания, комментарий, комментарии,
        описание
    """,
}

_PHONES: dict[str, str] = {
    "": """
        phone, phones, phone no, phone number, phone numbers, phone value, telephone,
        telephone number, tel,
        tel no, number 1, telefon, telefonlar, telefon no, telefon numarasi, numara, телефон,
        телефоны, номер телефона, тел
    """,
    "mobile": """
        mobile, mobile phone, mobile number, mobile no, cell, cell phone, cellphone, gsm, gsm no,
        cep, cep tel, cep no, cep telefonu, cep telefon, mobil, mobil telefon, мобильный,
        мобильный телефон, моб, моб телефон, моб тел, сотовый, сотовый телефон
    """,
    "work": """
        work phone, business phone, office phone, office, direct line, direct phone, is telefonu,
        is tel, ofis telefonu, dahili hat, рабочий телефон, раб телефон, рабочий, прямой телефон
    """,
    "home": "home phone, home, ev telefonu, ev tel, ev, домашний телефон, дом телефон, домашний",
    "switchboard": """
        company phone, main phone, switchboard, company number, company main phone, santral,
        santral no, firma telefonu, sirket telefonu, общий телефон, телефон компании, коммутатор
    """,
}


def _key(header: str) -> str:
    words = re.findall(r"[^\W\d_]+|\d+", folded(header))
    letters = [word for word in words if not word.isdigit()]
    return "".join(letters or words)  # `Phone 2`, `E-mail 1 - Value`


def _keys(names: str) -> list[str]:
    return [_key(name) for name in names.split(",")]


_FIELDS: dict[str, tuple[Field, str]] = {
    **{key: (field, "") for field, names in _NAMES.items() for key in _keys(names)},
    **{key: (Field.PHONE, label) for label, names in _PHONES.items() for key in _keys(names)},
}
_MANY = frozenset({Field.PHONE, Field.EMAIL, Field.NOTES, Field.TAGS})


def guess_columns(headers: Sequence[str]) -> list[Column]:
    """The columns that were recognised, in their order.

    There may be several for phones, addresses, tags and notes; of the others the first counts.
    """
    columns: list[Column] = []
    taken: set[Field] = set()
    for position, header in enumerate(headers):
        guess = _FIELDS.get(_key(header))
        if guess is None:
            continue
        field, label = guess
        if field in taken and field not in _MANY:
            continue
        taken.add(field)
        columns.append(Column(position=position, header=header, field=field, label=label))
    return columns


_KINDS = {
    folded(word): kind
    for kind, words in {
        "customer": "customer, client, müşteri, клиент, покупатель, заказчик",
        "lead": "lead, prospect, aday, aday müşteri, potansiyel, potansiyel müşteri, лид, "
        "потенциальный клиент",
        "partner": "partner, reseller, dealer, ortak, iş ortağı, bayi, партнёр, дилер",
        "supplier": "supplier, vendor, tedarikçi, satıcı, поставщик",
    }.items()
    for word in words.split(", ")
}


def contact_kind(text: str) -> str | None:
    """The kind of contact that a word means, or None."""
    return _KINDS.get(folded(text))
