/** The page's pictures: strokes on a 24 by 24 grid, in the colour of the text, silent to readers. */

const PATHS = {
  phone_in:
    "M5 4h3l1.5 4.5-2 1.5a12 12 0 0 0 6.5 6.5l1.5-2L20 16v3a1.5 1.5 0 0 1-1.6 1.5A15 15 0 0 1 3.5 5.6 1.5 1.5 0 0 1 5 4zM20 4l-6 6m0-4.5V10h4.5",
  phone_out:
    "M5 4h3l1.5 4.5-2 1.5a12 12 0 0 0 6.5 6.5l1.5-2L20 16v3a1.5 1.5 0 0 1-1.6 1.5A15 15 0 0 1 3.5 5.6 1.5 1.5 0 0 1 5 4zM14 10l6-6m-4.5 0H20v4.5",
  phone_missed:
    "M5 4h3l1.5 4.5-2 1.5a12 12 0 0 0 6.5 6.5l1.5-2L20 16v3a1.5 1.5 0 0 1-1.6 1.5A15 15 0 0 1 3.5 5.6 1.5 1.5 0 0 1 5 4zM15 4l5 5m0-5-5 5",
  phone:
    "M5 4h3l1.5 4.5-2 1.5a12 12 0 0 0 6.5 6.5l1.5-2L20 16v3a1.5 1.5 0 0 1-1.6 1.5A15 15 0 0 1 3.5 5.6 1.5 1.5 0 0 1 5 4z",
  mail: "M4 6h16v12H4zM4 7l8 6 8-6",
  note: "M6 4h9l4 4v12H6zM15 4v4h4M9 12h6m-6 4h6",
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13zM15.5 15.5 20 20",
  sound: "M5 9.5h3L12 6v12l-4-3.5H5zM15.5 9a4 4 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  silent: "M5 9.5h3L12 6v12l-4-3.5H5zM16 10l4 4m0-4-4 4",
  bell: "M7 16V11a5 5 0 0 1 10 0v5l1.5 2h-13zM10.5 20.5h3",
  close: "M6 6l12 12M18 6 6 18",
  copy: "M9 9h10v11H9zM15 9V5H5v11h4",
  person: "M12 4.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7zM5 20c.6-4 3.4-6 7-6s6.400 2 7 6",
  people:
    "M9 5a3.2 3.2 0 1 1 0 6.400A3.200 3.200 0 0 1 9 5zM3 19c.5-3.600 2.800-5.500 6-5.500s5.500 1.900 6 5.500M15.500 5.300a3 3 0 0 1 0 5.900M17 13.800c2.300.600 3.700 2.400 4 5.200",
  question:
    "M12 4a8 8 0 1 1 0 16 8 8 0 0 1 0-16zM9.800 9.800a2.300 2.300 0 1 1 3.300 2.100c-.8.4-1.100.9-1.100 1.700M12 16.500v.1",
  hidden:
    "M4 4l16 16M10 6.200A9.500 9.500 0 0 1 12 6c4.500 0 7.500 3.500 9 6a15 15 0 0 1-2.500 3M6.500 8A14 14 0 0 0 3 12c1.500 2.500 4.500 6 9 6a9 9 0 0 0 3.500-.7",
  down: "M7 10l5 5 5-5",
  check: "M5 12.500l4.500 4.500L19 7.500",
  alert: "M12 4.500 21 19.500H3zM12 10v4.500M12 17v.1",
  door: "M10 4H5v16h5M14 8l4 4-4 4m4-4H9",
  keyboard: "M3 7h18v10H3zM6.500 10.500h.1m3.500 0h.1m3.500 0h.1m3.500 0h.1M8 14h8",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      <path d={PATHS[name]} />
    </svg>
  );
}
