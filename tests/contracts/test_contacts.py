"""What every store promises about people and organisations."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from secrets import token_hex

import pytest

from crm_core.errors import Invalid
from crm_core.model import ContactId, ContactPoint, PointKind
from crm_core.ports import ContactDraft, Store
from tests.contracts.conftest import NOW

NUMBER = "+905321234567"


def phone(value: str = NUMBER, *, label: str = "", shared: bool = False) -> ContactPoint:
    return ContactPoint(kind=PointKind.PHONE, value=value, label=label, shared=shared)


def mail(value: str) -> ContactPoint:
    return ContactPoint(kind=PointKind.EMAIL, value=value)


async def put(store: Store, *drafts: ContactDraft) -> list[tuple[ContactId, str]]:
    async with store.begin() as uow:
        results = await uow.contacts.upsert_many(drafts)
        await uow.commit()
    return results


async def test_a_contact_comes_back_as_it_was_given(store: Store) -> None:
    async with store.begin() as uow:
        owner = await uow.users.add(login="Deniz", name="Deniz Kaya", role="agent")
        await uow.commit()
    [(id_, what)] = await put(
        store,
        ContactDraft(
            name="Ayşe Yılmaz",
            external_id="C-1",
            account="Acme A.Ş.",
            kind="partner",
            tier="gold",
            tags=("vip", "istanbul", "vip"),
            notes="prefers mornings\nşğİı",
            owner="deniz",
            points=(phone(label="mobile"), mail("ayse@example.com")),
        ),
    )
    async with store.begin() as uow:
        contact = await uow.contacts.get(id_)
        assert await uow.contacts.get(ContactId(999)) is None
    assert what == "created"
    assert contact is not None
    assert contact.account is not None
    assert (contact.name, contact.account.name) == ("Ayşe Yılmaz", "Acme A.Ş.")
    assert (contact.external_id, contact.kind, contact.tier) == ("C-1", "partner", "gold")
    assert contact.tags == ("vip", "istanbul")
    assert contact.notes == "prefers mornings\nşğİı"
    assert contact.owner == owner.id
    assert contact.points == (phone(label="mobile"), mail("ayse@example.com"))


async def test_hits_find_every_contact_with_exactly_this_value(store: Store) -> None:
    await put(
        store,
        ContactDraft(name="Switchboard", account="Acme", points=(phone(shared=True),)),
        ContactDraft(name="Ayşe", account="acme", external_id="A", tier="gold", points=(phone(),)),
        ContactDraft(name="Other", points=(phone("+905321234568"), mail("ayse@example.com"))),
    )
    async with store.begin() as uow:
        hits = await uow.contacts.hits(PointKind.PHONE, NUMBER)
        assert await uow.contacts.hits(PointKind.PHONE, NUMBER[:-1]) == []
        assert await uow.contacts.hits(PointKind.EMAIL, NUMBER) == []
        by_mail = await uow.contacts.hits(PointKind.EMAIL, "ayse@example.com")
    assert [(hit.candidate.name, hit.point.shared) for hit in hits] == [
        ("Ayşe", False),
        ("Switchboard", True),
    ], "the direct line comes first"
    ayse, switchboard = (hit.candidate for hit in hits)
    assert ayse.account_id == switchboard.account_id, "case does not make another account"
    assert (ayse.account, ayse.external_id, ayse.tier) == ("Acme", "A", "gold")
    assert [hit.candidate.name for hit in by_mail] == ["Other"]


async def test_a_number_counts_only_while_it_was_theirs(store: Store) -> None:
    point = ContactPoint(
        kind=PointKind.PHONE, value=NUMBER, valid_from=NOW, valid_to=NOW + timedelta(days=1)
    )
    await put(store, ContactDraft(name="Ayşe", points=(point,)))
    async with store.begin() as uow:
        for at, expected in [
            (None, 1),
            (NOW - timedelta(seconds=1), 0),
            (NOW, 1),
            (NOW + timedelta(days=1), 0),
        ]:
            assert len(await uow.contacts.hits(PointKind.PHONE, NUMBER, at=at)) == expected


async def test_upsert_by_external_id(store: Store) -> None:
    draft = ContactDraft(name="Ayşe", external_id="C-1", account="Acme", points=(phone(),))
    [(id_, _)] = await put(store, draft)
    assert await put(store, draft) == [(id_, "unchanged")]
    married = ContactDraft(name="Ayşe Kaya", external_id="C-1", tags=("vip",))
    assert await put(store, married) == [(id_, "updated")]
    async with store.begin() as uow:
        contact = await uow.contacts.get(id_)
    assert contact is not None
    assert contact.account is not None
    assert (contact.name, contact.tags, contact.account.name) == ("Ayşe Kaya", ("vip",), "Acme")
    assert contact.points == (phone(),), "what a draft leaves out stays"


async def test_upsert_adds_and_changes_points_and_removes_none(store: Store) -> None:
    [(id_, _)] = await put(store, ContactDraft(name="Ayşe", external_id="C-1", points=(phone(),)))
    second = mail("ayse@example.com")
    more = ContactDraft(name="", external_id="C-1", points=(phone(label="mobile"), second))
    assert await put(store, more) == [(id_, "updated")]
    assert await put(store, more) == [(id_, "unchanged")]
    async with store.begin() as uow:
        contact = await uow.contacts.get(id_)
    assert contact is not None
    assert contact.points == (phone(label="mobile"), second)


async def test_upsert_without_external_id_needs_name_account_and_a_common_point(
    store: Store,
) -> None:
    [(id_, _)] = await put(store, ContactDraft(name="Ayşe", account="Acme", points=(phone(),)))
    same = ContactDraft(
        name=" AYŞE ", account="ACME", tier="gold", points=(phone(), mail("a@example.com"))
    )
    [(again, what)] = await put(store, same)
    assert (again, what) == (id_, "updated")
    results = await put(
        store,
        ContactDraft(name="Ayşe", account="Beta", points=(phone(),)),
        ContactDraft(name="Ali", account="Acme", points=(phone(),)),
        ContactDraft(name="Ayşe", account="Acme", points=(phone("+905320000000"),)),
    )
    assert [what for _, what in results] == ["created"] * 3


async def test_upsert_without_any_point_goes_by_name_and_account(store: Store) -> None:
    bare = ContactDraft(name="Ayşe", account="Acme")
    [(with_phone, _)] = await put(
        store, ContactDraft(name="Ayşe", account="Acme", points=(phone(),))
    )
    [(id_, what)] = await put(store, bare)
    assert (id_ != with_phone, what) == (True, "created")
    assert await put(store, bare) == [(id_, "unchanged")]


async def test_a_batch_is_applied_in_order(store: Store) -> None:
    results = await put(
        store,
        ContactDraft(name="Ayşe", external_id="1", points=(phone(),)),
        ContactDraft(name="Ayşe K.", external_id="1"),
        ContactDraft(name="Can", points=(phone("+905320000001"),)),
        ContactDraft(name="Can", points=(phone("+905320000001"), mail("can@example.com"))),
        ContactDraft(name="Can", points=(mail("can@example.com"),)),
        ContactDraft(name="Bare"),
        ContactDraft(name="bare"),
    )
    assert [what for _, what in results] == [
        "created", "updated", "created", "updated", "unchanged", "created", "updated",
    ]  # fmt: skip
    assert results[0][0] == results[1][0]
    assert results[2][0] == results[3][0] == results[4][0]
    async with store.begin() as uow:
        assert await uow.contacts.count() == 3


async def test_an_empty_kind_leaves_it(store: Store) -> None:
    [(id_, _)] = await put(store, ContactDraft(name="Ayşe", external_id="1", kind="lead"))
    assert await put(store, ContactDraft(name="Ayşe", external_id="1", kind="")) == [
        (id_, "unchanged")
    ]
    [(new, _)] = await put(store, ContactDraft(name="Can", external_id="2", kind=""))
    async with store.begin() as uow:
        contact = await uow.contacts.get(new)
    assert contact is not None
    assert contact.kind == "customer"


async def test_an_unknown_owner_changes_nothing(store: Store) -> None:
    [(id_, _)] = await put(store, ContactDraft(name="Ayşe", external_id="1", owner="nobody"))
    async with store.begin() as uow:
        contact = await uow.contacts.get(id_)
    assert contact is not None
    assert contact.owner is None


async def test_pages_go_through_everybody_once(store: Store) -> None:
    names = ["Ayşe", "ayla", "Äpfel", "Zoë", "Ёлкин", "Çelik", "Ayşe", "Öz"]
    await put(store, *(ContactDraft(name=name, external_id=str(i)) for i, name in enumerate(names)))
    seen: list[str] = []
    after = None
    for _ in range(5):
        async with store.begin() as uow:
            page, after = await uow.contacts.page(after=after, limit=3)
        seen += [contact.name for contact in page]
        if after is None:
            break
    assert seen == ["Äpfel", "ayla", "Ayşe", "Ayşe", "Çelik", "Öz", "Zoë", "Ёлкин"]


async def test_a_page_that_ends_exactly_has_no_next(store: Store) -> None:
    await put(store, *(ContactDraft(name=f"P{i}", external_id=str(i)) for i in range(4)))
    async with store.begin() as uow:
        _, after = await uow.contacts.page(limit=4)
        assert after is None
        page, after = await uow.contacts.page(limit=2)
        page, after = await uow.contacts.page(limit=2, after=after)
    assert [contact.name for contact in page] == ["P2", "P3"]
    assert after is None


@pytest.mark.parametrize("cursor", ["", "x", "W10", "é", "WyJhIiwgLTFd", "A" * 5000, "bnVsbA"])
async def test_a_foreign_cursor_is_refused(store: Store, cursor: str) -> None:
    async with store.begin() as uow:
        with pytest.raises(Invalid):
            await uow.contacts.page(after=cursor)
        with pytest.raises(Invalid):
            await uow.touches.page(after=cursor)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("sukru", ["Şükrü Öztürk"]),
        ("ŞÜKRÜ", ["Şükrü Öztürk"]),
        ("елкин", ["Ёлкин"]),
        ("acme", ["100% Ltd_Contact", "Şükrü Öztürk"]),
        ("0532 123", ["Şükrü Öztürk"]),
        ("+90 532 123 45 67", ["Şükrü Öztürk"]),
        ("SUKRU@example", ["Şükrü Öztürk"]),
        ("100%", ["100% Ltd_Contact"]),
        ("%", ["100% Ltd_Contact"]),
        ("_", ["100% Ltd_Contact"]),
        ("\\", []),
        ("nobody", []),
        ("", ["100% Ltd_Contact", "Şükrü Öztürk", "Ёлкин"]),
        ("a\x00\ud800", []),
    ],
)
async def test_search_in_names_accounts_and_points(
    store: Store, text: str, names: list[str]
) -> None:
    await put(
        store,
        ContactDraft(
            name="Şükrü Öztürk", account="Acme", points=(phone(), mail("sukru@example.com"))
        ),
        ContactDraft(name="Ёлкин", points=(phone("+79161112233"),)),
        ContactDraft(name="100% Ltd_Contact", account="ACME"),
    )
    async with store.begin() as uow:
        found, _ = await uow.contacts.page(text=text)
    assert [contact.name for contact in found] == names


async def test_accounts_by_name(store: Store) -> None:
    await put(
        store,
        *(ContactDraft(name=f"P {name}", account=name) for name in ("Beta", "Acme", "Ünal A.Ş.")),
        ContactDraft(name="Q", account=" acme "),
    )
    async with store.begin() as uow:
        page, after = await uow.contacts.accounts(limit=2)
        rest, end = await uow.contacts.accounts(limit=2, after=after)
        found, _ = await uow.contacts.accounts(text="unal")
    assert [account.name for account in page] == ["Acme", "Beta"]
    assert [account.name for account in rest] == ["Ünal A.Ş."]
    assert end is None
    assert [account.name for account in found] == ["Ünal A.Ş."]


async def test_hostile_text_is_stored(store: Store) -> None:
    hostile = "Zoë \x00\"<script>' OR 1=1; --\ud800\u202e" + token_hex(5_000)
    draft = ContactDraft(
        name=hostile,
        account=hostile,
        external_id=hostile,
        tags=(hostile,),
        notes=hostile,
        points=(phone(hostile, label=hostile),),
    )
    [(id_, _)] = await put(store, draft)
    assert await put(store, draft) == [(id_, "unchanged")]
    await put(store, replace(draft, external_id=""), replace(draft, external_id="", points=()))
    clean = hostile.replace("\x00", "").replace("\ud800", "\ufffd")
    async with store.begin() as uow:
        contact = await uow.contacts.get(id_)
        hits = await uow.contacts.hits(PointKind.PHONE, hostile)
        page, _ = await uow.contacts.page(text=hostile[:20])
    assert contact is not None
    assert (contact.name, contact.tags, contact.notes) == (clean, (clean,), clean)
    assert [hit.candidate.contact for hit in hits] == [id_]
    assert {contact.id for contact in page} >= {id_}


async def test_a_large_batch(store: Store) -> None:
    drafts = [
        ContactDraft(name=f"P{i}", external_id=str(i), points=(phone(f"+90532{i:07d}"),))
        for i in range(1_234)
    ]
    assert {what for _, what in await put(store, *drafts)} == {"created"}
    assert {what for _, what in await put(store, *drafts)} == {"unchanged"}
    async with store.begin() as uow:
        assert await uow.contacts.count() == 1_234
