/**
 * Why a match is what it is, in the reader's language.
 *
 * The server gives reasons as English sentences (`crm_core/matching.py`), and keeps them in the
 * history as they were. These are all their shapes; `tests/browser/test_reasons.py` holds that there
 * is no other. A sentence of another shape is shown as it came.
 */

import type { Key } from "./i18n.ts";

const SHAPES: readonly [RegExp, Key][] = [
  [/^number withheld$/s, "reason.withheld"],
  [/^our own number$/s, "reason.own_number"],
  [/^our own address$/s, "reason.own_address"],
  [/^internal extension$/s, "reason.internal"],
  [/^no contact has this number$/s, "reason.no_number"],
  [/^no contact has this address$/s, "reason.no_address"],
  [/^exact number, direct line$/s, "reason.direct_line"],
  [/^exact number, (?<label>.+)$/s, "reason.exact_number_label"],
  [/^exact address, (?<label>.+)$/s, "reason.exact_address_label"],
  [/^exact address$/s, "reason.exact_address"],
  [/^shared number of (?<account>.+); only contact with it$/s, "reason.only_number_of"],
  [/^shared address of (?<account>.+); only contact with it$/s, "reason.only_address_of"],
  [/^shared number; only contact with it$/s, "reason.only_number"],
  [/^shared address; only contact with it$/s, "reason.only_address"],
  [/^shared number of (?<account>.+), (?<count>\d+) contacts$/s, "reason.shared_number"],
  [/^shared address of (?<account>.+), (?<count>\d+) contacts$/s, "reason.shared_address"],
  [/^(?<count>\d+) contacts of (?<account>.+) have this number$/s, "reason.number_of"],
  [/^(?<count>\d+) contacts of (?<account>.+) have this address$/s, "reason.address_of"],
  [
    /^(?<count>\d+) contacts have this number at \d+ accounts: (?<accounts>.+)$/s,
    "reason.number_among",
  ],
  [
    /^(?<count>\d+) contacts have this address at \d+ accounts: (?<accounts>.+)$/s,
    "reason.address_among",
  ],
  [/^(?<count>\d+) contacts have this number$/s, "reason.number_of_several"],
  [/^(?<count>\d+) contacts have this address$/s, "reason.address_of_several"],
  [/^it is the direct line of (?<name>.+)$/s, "reason.direct_line_of"],
  [/^it is the direct address of (?<name>.+)$/s, "reason.direct_address_of"],
  [/^only the first (?<count>\d+) are listed$/s, "reason.first_listed"],
  [/^chosen by (?<name>.+)$/s, "reason.chosen"],
];

export interface Reason {
  readonly key: Key;
  readonly values: Readonly<Record<string, string>>;
}

/** The text's key and what fills its places; null for a sentence that we do not know. */
export function readReason(sentence: string): Reason | null {
  for (const [shape, key] of SHAPES) {
    const found = shape.exec(sentence);
    if (found !== null) return { key, values: { ...found.groups } };
  }
  return null;
}
