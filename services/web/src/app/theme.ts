/** The look: calm, dense, one accent. Colours that differ by scheme are in app.css. */
import { createTheme, type MantineColorsTuple } from "@mantine/core";

const pine: MantineColorsTuple = [
  "#eef9f7",
  "#dcf0ec",
  "#b4e1d8",
  "#8ad1c3",
  "#67c3b2",
  "#50baa6",
  "#41b09b",
  "#2b9a86",
  "#096556",
  "#0b7565",
];

const dark: MantineColorsTuple = [
  "#d3dade",
  "#b5bfc5",
  "#8f9aa2",
  "#64717a",
  "#3b474f",
  "#2c373d",
  "#1d262b",
  "#14191c",
  "#101518",
  "#0b0f11",
];

/** What all windows over the page have. Their title bar is none of the page, whose own one is a landmark. */
const over = { closeButtonProps: { "aria-label": "Close" }, attributes: { header: { role: "none" } } };

export const theme = createTheme({
  colors: { pine, dark },
  primaryColor: "pine",
  primaryShade: 9,
  defaultRadius: "md",
  cursorType: "pointer",
  fontFamily: 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif',
  fontFamilyMonospace: 'ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace',
  fontSizes: { xs: "0.75rem", sm: "0.8125rem", md: "0.875rem", lg: "1rem", xl: "1.25rem" },
  headings: { fontWeight: "650" },
  // Its parts are named here, not imported: they are loaded when they are needed.
  components: {
    Modal: { defaultProps: over },
    Notification: { defaultProps: { closeButtonProps: { "aria-label": "Close" } } },
    Drawer: { defaultProps: over },
  },
});

/** What the page's policy lets styles that are made here carry. */
export function styleNonce(): string {
  return document.querySelector<HTMLMetaElement>('meta[property="csp-nonce"]')?.nonce ?? "";
}
