"""Contacts from other people's spreadsheets."""

from __future__ import annotations

import contextlib
import io
import tracemalloc
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_core.columns import Field, guess_columns
from crm_core.errors import Invalid
from crm_core.imports import ContactReader, ImportReport, RowDraft, RowError, import_contacts
from crm_core.memory import MemoryStore
from crm_core.model import ContactPoint, PointKind
from crm_core.phone import PhoneRules
from crm_core.ports import ContactDraft

TR = PhoneRules(region="TR")


def read(content: str | bytes, rules: PhoneRules = TR) -> list[RowDraft | RowError]:
    raw = content.encode() if isinstance(content, str) else content
    return list(ContactReader(io.BytesIO(raw), rules))


def drafts(content: str | bytes, rules: PhoneRules = TR) -> list[ContactDraft]:
    items = read(content, rules)
    assert all(isinstance(item, RowDraft) for item in items), items
    return [item.draft for item in items if isinstance(item, RowDraft)]


def errors(content: str | bytes) -> list[tuple[int, str, str]]:
    return [
        (item.row, item.column, item.reason) for item in read(content) if isinstance(item, RowError)
    ]


def phone(value: str, label: str = "", *, shared: bool = False) -> ContactPoint:
    return ContactPoint(kind=PointKind.PHONE, value=value, label=label, shared=shared)


def mail(value: str) -> ContactPoint:
    return ContactPoint(kind=PointKind.EMAIL, value=value)


def test_english_columns() -> None:
    [draft] = drafts(
        "Customer ID,First Name,Last Name,Company,Mobile Phone,Company Phone,E-Mail 1,E-Mail 2,"
        "Type,Tier,Tags,Account Owner,Notes\n"
        "C-1,Ayşe,Yılmaz,Acme A.Ş.,0532 123 45 67,0212 345 67 89,Ayse@Example.com,"
        'a2@example.com,Lead,gold,"vip; istanbul",deniz,"likes\nmornings"\n'
    )
    assert draft == ContactDraft(
        name="Ayşe Yılmaz",
        external_id="C-1",
        account="Acme A.Ş.",
        kind="lead",
        tier="gold",
        tags=("vip", "istanbul"),
        notes="likes\nmornings",
        owner="deniz",
        points=(
            phone("+905321234567", "mobile"),
            phone("+902123456789", "switchboard", shared=True),
            mail("ayse@example.com"),
            mail("a2@example.com"),
        ),
    )


def test_turkish_columns() -> None:
    [draft] = drafts(
        "Müşteri No;Adı;Soyadı;Ünvan;Cep Telefonu;İş Telefonu;E-Posta;Müşteri Tipi;Seviye;"
        "Etiketler;Müşteri Temsilcisi;Açıklama\n"
        "42;Şükrü;Öztürk;Örnek Ltd.;5321234567, 0533 123 45 67;02123456789;"
        "sukru@ornek.example;Müşteri;altın;önemli;Deniz;not\n"
    )
    assert (draft.external_id, draft.name, draft.account) == ("42", "Şükrü Öztürk", "Örnek Ltd.")
    assert draft.points == (
        phone("+905321234567", "mobile"),
        phone("+905331234567", "mobile"),
        phone("+902123456789", "work"),
        mail("sukru@ornek.example"),
    )
    assert (draft.kind, draft.tier, draft.tags) == ("customer", "altın", ("önemli",))
    assert (draft.owner, draft.notes) == ("Deniz", "not")


def test_russian_columns() -> None:
    [draft] = drafts(
        "Код клиента\tФИО\tОрганизация\tМобильный телефон\tЭлектронная почта\tТип\tТеги\t"
        "Ответственный\tПримечание\n"
        "7\tЁлкин Иван Петрович\tООО Ромашка\t8 (916) 123-45-67; +7 495 123-45-67\t"
        "ivan@example.ru\tПартнёр\tважный\tdeniz\tзвонить утром\n",
        PhoneRules(region="RU"),
    )
    assert (draft.external_id, draft.name, draft.account) == (
        "7",
        "Ёлкин Иван Петрович",
        "ООО Ромашка",
    )
    assert draft.points == (
        phone("+79161234567", "mobile"),
        phone("+74951234567", "mobile"),
        mail("ivan@example.ru"),
    )
    assert (draft.kind, draft.tags, draft.owner) == ("partner", ("важный",), "deniz")
    assert draft.notes == "звонить утром"


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("ID", Field.EXTERNAL_ID),
        ("external_id", Field.EXTERNAL_ID),
        ("Full Name", Field.NAME),
        ("AD SOYAD", Field.NAME),
        ("Şirket Adı", Field.COMPANY),
        ("PHONE_2", Field.PHONE),
        ("Telefon (Cep) ", None),
        ("e-posta", Field.EMAIL),
        ("Фамилия", Field.LAST_NAME),
        ("Номер телефона", Field.PHONE),
        ("Компания", Field.COMPANY),
        ("Birthday", None),
        ("", None),
    ],
)
def test_headings(header: str, field: Field | None) -> None:
    assert [column.field for column in guess_columns([header])] == ([field] if field else [])


def test_of_two_columns_with_one_meaning_the_first_counts() -> None:
    [draft] = drafts("Name,Contact Name\nAyşe,Ali\n")
    assert draft.name == "Ayşe"


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        ("Ad Soyad;Şehir\nŞükrü Çağlı;İzmir\n", "utf-8", "utf-8-sig"),
        ("Ad Soyad;Şehir\nŞükrü Çağlı;İzmir\n", "utf-8-sig", "utf-8-sig"),
        ("Ad Soyad;Şehir\nŞükrü Çağlı;İzmir\n", "cp1254", "cp1254"),
        ("Ad Soyad;Şehir\nŞükrü Çağlı;İzmir\n", "utf-16", "utf-16"),
        ("ФИО;Город\nЁлкин Иван;Москва\n", "cp1251", "cp1251"),
        ("ФИО;Город\nЁлкин Иван;Москва\n", "utf-8", "utf-8-sig"),
        ("name;city\nAyse;Izmir\n", "ascii", "utf-8-sig"),
    ],
)
def test_encodings(text: str, encoding: str, expected: str) -> None:
    raw = text.encode(encoding)
    reader = ContactReader(io.BytesIO(raw), TR)
    [item] = reader
    assert isinstance(item, RowDraft)
    assert reader.encoding == expected
    assert item.draft.name == text.splitlines()[1].split(";")[0]


def test_delimiters_and_the_first_line_of_excel() -> None:
    for text in (
        "name,phone\nAyşe,05321234567\n",
        "name;phone\r\nAyşe;05321234567\r\n",
        "name\tphone\nAyşe\t05321234567",
        "sep=;\nname;phone\nAyşe;05321234567\n",
        '"name, or so",name;phone\n'.replace('"name, or so",', "") + "Ayşe;05321234567\n",
        'name;"phone"\n"Ayşe";"05321234567"\n',
        'name;phone\nAyşe;="05321234567"\n',
        "name;phone\nAyşe;'05321234567\n",
    ):
        assert drafts(text) == [
            ContactDraft(name="Ayşe", kind="", points=(phone("+905321234567"),))
        ], text


def test_bad_rows_name_row_column_and_reason_and_stop_nobody() -> None:
    assert errors(
        "Name,Phone,Email\n"
        "Ayşe,12,ayse@example.com\n"
        "Can,05321234567,can at example.com\n"
        ",05321234567,\n"
        "\n"
        "Deniz,9.05321E+11,\n"
        "Ela,05321234567,ela@example.com,left over\n"
        f"{'x' * 300},,\n"
        "Fatma,05321234567,\n"
    ) == [
        (2, "Phone", "'12' is no phone number"),
        (3, "Email", "'can at example.com' is no mail address"),
        (4, "", "has neither a name nor a company"),
        (
            6,
            "Phone",
            "'9.05321E+11' is no phone number any more: a spreadsheet has rounded it",
        ),
        (7, "", "has more cells than the first row: is a cell with a comma not in quotes?"),
        (8, "Name", "is longer than 200 characters"),
    ]


def test_a_quote_that_never_ends_costs_one_row() -> None:
    items = read('name,notes\nAyşe,"never\nCan,ends\nDeniz,x\n')
    assert [type(item).__name__ for item in items] == ["RowError", "RowDraft", "RowDraft"]
    rows = "".join(f"Person {i},x\n" for i in range(20_000))
    items = read(f'name,notes\nAyşe,"never\n{rows}')
    assert isinstance(items[0], RowError)
    assert items[0].row == 2
    assert len(items) == 20_001


def test_huge_lines_and_cells_cost_one_row() -> None:
    items = read("name,notes\n" + "x" * 3_000_000 + "\nAyşe,y\nCan," + "z" * 200_000 + "\nEla,e\n")
    assert [item.row for item in items] == [2, 3, 4, 5]
    assert [isinstance(item, RowError) for item in items] == [True, False, True, False]


def test_formulas_and_nul_are_text() -> None:
    [draft] = drafts(
        b'name,phone,notes\n=HYPERLINK("http://x")\x00,+90 532 123 45 67,@SUM(1)\n'.replace(
            b'"', b""
        )
    )
    assert draft.name == "=HYPERLINK(http://x)"
    assert (draft.notes, draft.points) == ("@SUM(1)", (phone("+905321234567"),))


def test_an_unknown_type_is_a_warning() -> None:
    [item] = read("name,type\nAyşe,dragon\n")
    assert isinstance(item, RowDraft)
    assert item.draft.kind == ""
    [warning] = item.warnings
    assert (warning.column, warning.refused) == ("type", False)


def test_a_company_without_a_person_shares_its_numbers() -> None:
    [draft] = drafts("company,phone\nAcme,02123456789\n")
    assert (draft.name, draft.account) == ("Acme", "Acme")
    assert draft.points == (phone("+902123456789", shared=True),)


@pytest.mark.parametrize(
    "content", ["", "\n", "\n\n\n", "a,b\n1,2\n", "phone\n05321234567\n", '"', "\x00", "\ufeff"]
)
def test_files_that_are_no_list_of_contacts(content: str) -> None:
    with pytest.raises(Invalid):
        read(content)


@given(st.binary(max_size=400))
def test_hostile_bytes_never_raise(raw: bytes) -> None:
    for item in read(b"name,phone,email,notes\n" + raw):
        if isinstance(item, RowDraft):
            assert item.draft.name


@given(st.text(max_size=200))
def test_hostile_headers_are_refused_or_read(header: str) -> None:
    with contextlib.suppress(Invalid):
        read(header.encode("utf-8", "replace") + b"\nx,y\n")


async def run(store: MemoryStore, content: str, *, dry_run: bool = False) -> ImportReport:
    return await import_contacts(store, io.BytesIO(content.encode()), rules=TR, dry_run=dry_run)


LIST = (
    "id,name,company,phone,owner,city\n"
    "1,Ayşe,Acme,05321234567,deniz,Ankara\n"
    "2,Can,Acme,bad,deniz,\n"
    "3,Ela,,05331234567,Deniz Kaya,\n"
    ",Fatma,,05341234567,stranger,\n"
    ",Gül,,,stranger,\n"
)


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    return report.rows, report.created, report.updated, report.unchanged, report.refused


async def test_an_import_reports_what_it_did_and_again_changes_nothing() -> None:
    store = MemoryStore()
    async with store.begin() as uow:
        deniz = await uow.users.add(login="deniz", name="Deniz Kaya", role="agent")
        await uow.commit()

    dry = await run(store, LIST, dry_run=True)
    assert counts(dry) == (5, 4, 0, 0, 1)
    async with store.begin() as uow:
        assert await uow.contacts.count() == 0, "a dry run changes nothing"

    report = await run(store, LIST)
    assert counts(report) == (5, 4, 0, 0, 1)
    assert report.errors == [
        RowError(row=3, column="phone", reason="'bad' is no phone number"),
        RowError(
            row=5,
            column="owner",
            reason="'stranger' is no user; later rows with this owner are not named",
            refused=False,
        ),
    ]
    assert report.columns == {
        "id": "external_id",
        "name": "name",
        "company": "company",
        "phone": "phone",
        "owner": "owner",
    }
    assert (report.ignored, report.delimiter) == (["city"], ",")
    async with store.begin() as uow:
        contacts, _ = await uow.contacts.page()
    assert [(contact.name, contact.owner) for contact in contacts] == [
        ("Ayşe", deniz.id),
        ("Ela", deniz.id),
        ("Fatma", None),
        ("Gül", None),
    ]

    assert counts(await run(store, LIST)) == (5, 0, 0, 4, 1)
    assert counts(await run(store, LIST.replace("Acme", "Beta"))) == (5, 0, 1, 3, 1)


def test_a_large_file_is_read_in_flat_memory() -> None:
    class Endless(io.RawIOBase):
        """A file of 40,000 rows that is never in memory as a whole."""

        def __init__(self) -> None:
            super().__init__()
            self.seek(0)

        def seek(self, offset: int, whence: int = 0, /) -> int:
            assert (offset, whence) == (0, 0)
            self._parts = iter(self._generate())
            return 0

        def _generate(self) -> Iterable[bytes]:
            yield b"id,name,phone\n"
            for i in range(20_000):
                yield f"{i},Person {i},0532{i % 100:07d}\n".encode()

        def read(self, _size: int = -1, /) -> bytes:
            return next(self._parts, b"")

    source = Endless()
    tracemalloc.start()
    try:
        reader = ContactReader(source, TR)  # type: ignore[arg-type]
        rows = sum(1 for _ in reader)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert rows == 20_000
    assert peak < 2_000_000


def test_what_people_write_where_there_is_nothing() -> None:
    items = drafts("Adı Soyadı;Telefon;E-posta\nAli;-;yok\nNaz;—;n/a\nEce;0;нет\nCan;...;-\n")
    assert [(draft.name, draft.points) for draft in items] == [
        ("Ali", ()),
        ("Naz", ()),
        ("Ece", ()),
        ("Can", ()),
    ]


def test_two_numbers_or_addresses_with_a_slash_between_them() -> None:
    """A slash inside a number is a separator of its digits; half a number is none."""
    [draft, german] = drafts(
        b"name,phone,email\n"
        b"Can,0532 123 45 69 / 0532 123 45 70,can@example.com | can@example.org\n"
        b"Eva,+49 30/123456,\n"
    )
    assert [point.value for point in draft.points] == [
        *("+905321234569", "+905321234570"),
        *("can@example.com", "can@example.org"),
    ]
    assert draft.points[0] == phone("+905321234569")
    assert [point.value for point in german.points] == ["+4930123456"]
    assert errors("name,phone\nCan,0212 555 12 34 / 15\n") == [
        (2, "phone", "'0212 555 12 34 / 15' is no phone number")
    ]


def test_a_rounded_number_with_a_decimal_comma_is_one_value() -> None:
    assert errors("Ad Soyad;Telefon\nİbrahim;5,32123E+09\n") == [
        (
            2,
            "Telefon",
            "'5,32123E+09' is no phone number any more: a spreadsheet has rounded it",
        )
    ]


def test_blank_rows_above_the_headings_are_passed_over() -> None:
    [item] = read("\r\n;;\r\nName;Phone\r\nAyşe;05321234567\r\n")
    assert isinstance(item, RowDraft)
    assert (item.row, item.draft.name) == (4, "Ayşe")
    with pytest.raises(Invalid, match="cells: none"):
        read("\n\n\n")


def test_an_export_of_google_contacts() -> None:
    [draft] = drafts(
        "First Name,Last Name,Organization Name,E-mail 1 - Label,E-mail 1 - Value,"
        "E-mail 2 - Value,Phone 1 - Label,Phone 1 - Value\n"
        "Zoë,O'Brien,Acme,Work,zoe@example.com,z@example.org,Mobile,"
        "+90 532 123 45 67 ::: +90 532 123 45 68\n"
    )
    assert (draft.name, draft.account) == ("Zoë O'Brien", "Acme")
    assert [point.value for point in draft.points] == [
        *("+905321234567", "+905321234568"),
        *("zoe@example.com", "z@example.org"),
    ]


async def test_an_owner_is_one_user_or_nobody() -> None:
    """Two users have one name; the name of a third is the login of a fourth."""
    store = MemoryStore()
    async with store.begin() as uow:
        for login, name in (("can1", "Can Öz"), ("can2", "Can Öz"), ("ada", "can1")):
            await uow.users.add(login=login, name=name, role="agent")
        logins = {user.id: user.login for user in await uow.users.all()}
        await uow.commit()
    content = "Name,Owner\nAyşe,Can Öz\nNaz,CAN1\nEce,ada\n"
    report = await import_contacts(store, io.BytesIO(content.encode()))
    owners = {
        c.name: logins.get(c.owner) if c.owner else None for c in store.tables.contacts.values()
    }
    assert owners == {"Ayşe": None, "Naz": "can1", "Ece": "ada"}
    assert [(error.row, error.column, error.refused) for error in report.errors] == [
        (2, "Owner", False)
    ]
    assert "'Can Öz' is more than one user" in report.errors[0].reason
