"""Contacts from a CSV file: read, checked row by row, and stored in batches.

The reader is pure: bytes in, drafts or row errors out. One bad row never stops the rows behind
it, and running the same import again changes nothing. What a cell holds is stored as text;
formulas in it mean nothing here (an export must take care of them).
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, BinaryIO, TextIO

from crm_core.address import mail_address
from crm_core.columns import Column, Field, contact_kind, guess_columns
from crm_core.errors import Invalid
from crm_core.model import ContactPoint, PointKind, User
from crm_core.phone import DEFAULT_RULES, PhoneRules, e164
from crm_core.ports import ContactDraft, Store
from crm_core.text import one_line, storable

BATCH = 500
_LONGEST_LINE = 1_000_000
_LONGEST_NAME = 200
_LONGEST_NOTES = 20_000
_MOST_POINTS = 50
_MOST_TAGS = 50
_DELIMITERS = ",;\t|"
_ROUNDED = re.compile(r"\d[.,]?\d*E\+?\d+", re.IGNORECASE)
_NOTHING = frozenset({"n/a", "na", "none", "null", "nil", "yok", "bilinmiyor", "нет", "н/д"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RowError:
    """What is wrong in a row. Rows are counted as a spreadsheet does: the header is row 1."""

    row: int
    column: str
    """The column's heading, `""` if it concerns the whole row."""
    reason: str
    refused: bool = True
    """False if the row was imported without this value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowDraft:
    """A row that makes a contact, with what could not be taken over."""

    row: int
    draft: ContactDraft
    warnings: tuple[RowError, ...] = ()


@dataclass(slots=True)
class ImportReport:
    """What an import did, or would do."""

    dry_run: bool
    encoding: str
    delimiter: str
    columns: dict[str, str]
    """Which heading was taken for what."""
    ignored: list[str]
    """Headings that mean nothing to us."""
    rows: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    errors: list[RowError] = field(default_factory=list)


class ContactReader:
    """The rows of a CSV file, as drafts or errors. Iterate over it once.

    Raises:
        Invalid: the file is empty, or no column of it is known.
    """

    def __init__(self, source: BinaryIO, rules: PhoneRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self.encoding = detect_encoding(source)
        text = io.TextIOWrapper(
            io.BufferedReader(_Unclosed(source), 1 << 16),
            encoding=self.encoding,
            errors="replace",
            newline="",
        )
        self._lines = _Lines(text)
        above: list[str] = []
        while (first := next(self._lines, "")) and not first.strip():
            above.append(first)
        if found := re.fullmatch(r'"?sep=(.)"?\s*', first):  # Excel's own first line
            self.delimiter = found[1]
        else:
            self.delimiter = sniff_delimiter(first)
            self._lines.push_back([*above, first] if first else above)
        rows = self._rows()
        header: list[str] | str = []
        for _number, header in rows:
            if isinstance(header, str) or any(cell.strip() for cell in header):
                break  # blank rows above the headings are passed over
        if isinstance(header, str):
            raise Invalid(f"the first row {header}")
        self._numbered = rows
        self.headers = header
        self.columns = guess_columns(self.headers)
        if not any(
            column.field in {Field.NAME, Field.FIRST_NAME, Field.LAST_NAME, Field.COMPANY}
            for column in self.columns
        ):
            seen = ", ".join(one_line(header, 40) for header in self.headers[:20])
            raise Invalid(
                "no column with names or companies was found in the first row"
                f" (its cells: {seen or 'none'})"
            )

    def __iter__(self) -> Iterator[RowDraft | RowError]:
        for number, cells in self._numbered:
            if isinstance(cells, str):
                yield RowError(row=number, column="", reason=cells)
            elif any(cell.strip() for cell in cells):
                yield self._read(number, cells)

    def _rows(self) -> Iterator[tuple[int, list[str] | str]]:
        """Rows with their numbers; instead of its cells, the reason why one cannot be read."""
        number = 0
        while True:
            number += 1
            self._lines.begin_row()
            try:
                cells = next(csv.reader(self._lines, delimiter=self.delimiter, strict=True))
            except StopIteration:
                return
            except csv.Error as error:
                # An opening quote without an end takes in all the rows behind it: give them back.
                self._lines.give_back_all_but_first()
                yield number, f"cannot be read: {error}"
                continue
            yield number, cells

    def _read(self, number: int, cells: Sequence[str]) -> RowDraft | RowError:
        if any(cell.strip() for cell in cells[len(self.headers) :]):
            reason = "has more cells than the first row: is a cell with a comma not in quotes?"
            return RowError(row=number, column="", reason=reason)
        try:
            return _Row(number, cells, self.columns, self._rules).draft()
        except _RefusedError as refused:
            return refused.error


class _RefusedError(Exception):
    def __init__(self, error: RowError) -> None:
        super().__init__(error.reason)
        self.error = error


class _Row:
    """One row while it is turned into a draft."""

    def __init__(
        self, number: int, cells: Sequence[str], columns: Sequence[Column], rules: PhoneRules
    ) -> None:
        self._number = number
        self._rules = rules
        self._warnings: list[RowError] = []
        self._cells: dict[Field, list[tuple[Column, str]]] = {}
        for column in columns:
            cell = _cell(cells[column.position]) if column.position < len(cells) else ""
            if cell:
                self._cells.setdefault(column.field, []).append((column, cell))

    def draft(self) -> RowDraft:
        """The draft.

        Raises:
            _RefusedError: the row makes no contact.
        """
        parts = (Field.FIRST_NAME, Field.MIDDLE_NAME, Field.LAST_NAME)
        name = self._line(Field.NAME) or " ".join(part for part in map(self._line, parts) if part)
        company = self._line(Field.COMPANY)
        if not name and not company:
            raise _RefusedError(
                RowError(row=self._number, column="", reason="has neither a name nor a company")
            )
        points = (*self._phones(), *self._emails())
        if len(points) > _MOST_POINTS:
            self._refuse(None, f"has more than {_MOST_POINTS} numbers and addresses")
        if not name:
            # A company's entry: its number is nobody's own.
            points = tuple(replace(point, shared=True) for point in points)
        draft = ContactDraft(
            name=name or company,
            external_id=self._line(Field.EXTERNAL_ID),
            account=company,
            kind=self._kind(),
            tier=self._line(Field.TIER),
            tags=self._tags(),
            notes=self._notes(),
            owner=self._line(Field.OWNER),
            points=points,
        )
        return RowDraft(row=self._number, draft=draft, warnings=tuple(self._warnings))

    def _line(self, wanted: Field) -> str:
        for column, cell in self._cells.get(wanted, ()):
            line = one_line(cell, _LONGEST_NAME + 1)
            if len(line) > _LONGEST_NAME:
                self._refuse(column, f"is longer than {_LONGEST_NAME} characters")
            return line
        return ""

    def _phones(self) -> list[ContactPoint]:
        return [
            ContactPoint(
                kind=PointKind.PHONE, value=value, label=column.label, shared=column.shared
            )
            for column, value in self._values(
                Field.PHONE, lambda number: e164(number, self._rules), "phone number"
            )
        ]

    def _emails(self) -> list[ContactPoint]:
        return [
            ContactPoint(kind=PointKind.EMAIL, value=value)
            for _column, value in self._values(Field.EMAIL, mail_address, "mail address")
        ]

    def _values(
        self, wanted: Field, read: Callable[[str], str | None], what: str
    ) -> Iterator[tuple[Column, str]]:
        """The numbers or addresses of a row, as they are stored."""
        for column, part in self._parts(wanted):
            if _is_nothing(part):
                continue
            value = read(part)
            if value is not None:
                yield column, value
                continue
            # A slash may stand in a number (030/123456), or between two.
            pieces = [read(piece) for piece in re.split("[/|]", part)]
            values = [piece for piece in pieces if piece is not None]
            if len(values) < max(len(pieces), 2):
                self._refuse(column, _is_none(part, what))
            yield from ((column, piece) for piece in values)

    def _parts(self, wanted: Field) -> Iterator[tuple[Column, str]]:
        for column, cell in self._cells.get(wanted, ()):
            if _ROUNDED.fullmatch(cell):  # its comma is that of 9,05321E+11
                yield column, cell
                continue
            for part in re.split(r"[;,\n]|:::", cell):
                if part := _cell(part):
                    yield column, part

    def _kind(self) -> str:
        for column, cell in self._cells.get(Field.TYPE, ()):
            kind = contact_kind(one_line(cell, 60))
            if kind is not None:
                return kind
            known = "customer, lead, partner, supplier"
            self._warn(column, f"{one_line(cell, 60)!r} is none of {known}")
        return ""

    def _tags(self) -> tuple[str, ...]:
        tags = [one_line(tag, 50) for _column, tag in self._parts(Field.TAGS)]
        return tuple(dict.fromkeys(tags))[:_MOST_TAGS]

    def _notes(self) -> str:
        notes = [storable(cell) for _column, cell in self._cells.get(Field.NOTES, ())]
        text = "\n".join(notes).replace("\r\n", "\n")
        if len(text) > _LONGEST_NOTES:
            column = self._cells[Field.NOTES][0][0]
            self._warn(column, f"was cut after {_LONGEST_NOTES} characters")
        return text[:_LONGEST_NOTES]

    def _refuse(self, column: Column | None, reason: str) -> None:
        raise _RefusedError(self._error(column, reason))

    def _warn(self, column: Column, reason: str) -> None:
        self._warnings.append(replace(self._error(column, reason), refused=False))

    def _error(self, column: Column | None, reason: str) -> RowError:
        header = one_line(column.header, 60) if column else ""
        return RowError(row=self._number, column=header, reason=reason)


async def import_contacts(
    store: Store,
    source: BinaryIO,
    *,
    rules: PhoneRules = DEFAULT_RULES,
    dry_run: bool = False,
) -> ImportReport:
    """Create and update contacts from a CSV file; rows that cannot be are named in the report.

    Each batch of rows is a transaction of its own, so calls are logged meanwhile, and an import
    that broke off is simply run again. A dry run does the same and rolls each batch back: it
    counts a contact that comes in two batches as created twice.

    Args:
        store: Where the contacts go.
        source: A seekable binary file.
        rules: How to read numbers without an international prefix.
        dry_run: Change nothing, only report.

    Raises:
        Invalid: the file as a whole cannot be read.
        StoreUnavailable: the database went away; everything before was kept.
    """
    reader = ContactReader(source, rules)
    known = {column.position: column.field.value for column in reader.columns}
    report = ImportReport(
        dry_run=dry_run,
        encoding=reader.encoding,
        delimiter=reader.delimiter,
        columns={reader.headers[position]: name for position, name in known.items()},
        ignored=[
            header
            for position, header in enumerate(reader.headers)
            if position not in known and header.strip()
        ],
    )
    async with store.begin() as uow:
        owners = _Owners(
            await uow.users.all(),
            heading=next((c.header for c in reader.columns if c.field is Field.OWNER), ""),
        )
    batch: list[ContactDraft] = []
    for item in reader:
        report.rows += 1
        if isinstance(item, RowError):
            report.refused += 1
            report.errors.append(item)
            continue
        report.errors += item.warnings
        draft, warning = owners.resolve(item)
        if warning is not None:
            report.errors.append(warning)
        batch.append(draft)
        if len(batch) == BATCH:
            await _store(store, batch, report)
            batch.clear()
    if batch:
        await _store(store, batch, report)
    return report


async def _store(store: Store, batch: Sequence[ContactDraft], report: ImportReport) -> None:
    async with store.begin() as uow:
        results = await uow.contacts.upsert_many(batch)
        if not report.dry_run:
            await uow.commit()
    counts = Counter(what for _contact, what in results)
    report.created += counts["created"]
    report.updated += counts["updated"]
    report.unchanged += counts["unchanged"]


class _Owners:
    """Who is meant by the owner's column: a login, a mail address or a name of a user.

    A login goes before another's address, an address before another's name. A name that two users
    have means neither.
    """

    def __init__(self, users: Sequence[User], *, heading: str) -> None:
        self._logins = {user.login: user.login for user in users}
        for called in (attrgetter("email"), attrgetter("name")):
            count = Counter(called(user).casefold() for user in users)
            for user in users:
                key = called(user).casefold()
                self._logins.setdefault(key, user.login if count[key] == 1 else "")
        self._heading = heading
        self._missed: set[str] = set()

    def resolve(self, item: RowDraft) -> tuple[ContactDraft, RowError | None]:
        """The draft with the owner's login; a warning for the first row with a stranger."""
        owner = item.draft.owner
        if not owner:
            return item.draft, None
        login = self._logins.get(owner.casefold(), "")
        draft = replace(item.draft, owner=login)
        if login or owner in self._missed:
            return draft, None
        self._missed.add(owner)
        what = "is more than one user" if owner.casefold() in self._logins else "is no user"
        reason = f"{one_line(owner, 60)!r} {what}; later rows with this owner are not named"
        return draft, RowError(row=item.row, column=self._heading, reason=reason, refused=False)


def detect_encoding(source: BinaryIO) -> str:
    """The encoding of a text file, which is read through and rewound.

    UTF-8 (and UTF-16 with its mark) can be told for sure. What is left is Turkish or Russian
    Windows text: Russian writes whole words with bytes above 127, Turkish single letters.
    """
    start = source.read(4)
    source.seek(0)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    high = neighbours = 0
    is_utf8 = True
    while chunk := source.read(1 << 16):
        if is_utf8:
            try:
                decoder.decode(chunk)
            except UnicodeDecodeError:
                is_utf8 = False
        if high < 100_000:
            runs = re.findall(rb"[\x80-\xff]+", chunk)
            high += sum(len(run) for run in runs)
            neighbours += sum(len(run) for run in runs if len(run) > 2)
    source.seek(0)
    if is_utf8:
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            pass
        else:
            return "utf-8-sig"
    return "cp1251" if neighbours > high / 2 else "cp1254"


def sniff_delimiter(header: str) -> str:
    """The delimiter of a header line: the one it has most of outside quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return max(_DELIMITERS, key=bare.count)


def _cell(cell: str) -> str:
    """The cell's text without what spreadsheets put around numbers: `="0532…"`, `'0532…`."""
    text = cell.replace("\x00", "").strip()
    if found := re.fullmatch(r'="([^"]*)"', text):
        return found[1].strip()
    return text[1:].strip() if text.startswith("'") else text


def _is_nothing(text: str) -> bool:
    """Whether people write this where there is no number and no address."""
    return text.casefold() in _NOTHING or not text.strip("-–—./\\_*?0 ")


def _is_none(text: str, what: str) -> str:
    shown = one_line(text, 60)
    if _ROUNDED.fullmatch(shown):
        return f"{shown!r} is no {what} any more: a spreadsheet has rounded it"
    return f"{shown!r} is no {what}"


class _Lines:
    """The lines of a file; those of a row that cannot be read can be given back."""

    def __init__(self, text: TextIO) -> None:
        self._text = text
        self._again: deque[str] = deque()
        self._row: list[str] = []

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else self._next_line()
        if not line:
            raise StopIteration
        self._row.append(line)
        return line

    def begin_row(self) -> None:
        """What comes now belongs to a new row."""
        self._row.clear()

    def push_back(self, lines: list[str]) -> None:
        """Let these lines come again."""
        self._again.extendleft(reversed(lines))

    def give_back_all_but_first(self) -> None:
        """Let the lines of this row come again, without its first."""
        self.push_back(self._row[1:])

    def _next_line(self) -> str:
        line = self._text.readline(_LONGEST_LINE)
        if len(line) == _LONGEST_LINE and not line.endswith(("\n", "\r")):
            # Nobody's contact. What the reader gets is too long for a cell, so it says so.
            while (rest := self._text.readline(_LONGEST_LINE)) and not rest.endswith("\n"):
                pass
            return line + "\n"
        return line


class _Unclosed(io.RawIOBase):
    """A binary file that the text layer on it does not close: it belongs to the caller."""

    def __init__(self, source: BinaryIO) -> None:
        super().__init__()
        self._source = source

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer from the file."""
        chunk = self._source.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)
