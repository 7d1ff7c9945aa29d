import { Button, EmptyState } from "@mantine/core";
import { IconPlugConnectedX } from "@tabler/icons-react";
import { Component, type ReactNode } from "react";
import { renew } from "./renew";

/** A part of the page that is loaded when needed could not be. */
export class PartMissing extends Error {
  override readonly name = "PartMissing";
}

/** Shows a sentence in place of what could not be shown: most often a part that could not be loaded. */
export class Fallible extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override componentDidCatch(error: Error) {
    if (error instanceof PartMissing) void renew();
  }

  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <EmptyState m="auto" p="xl" icon={<IconPlugConnectedX />} title="This part of the page could not be loaded.">
        <Button variant="default" onClick={() => location.reload()}>
          Reload the page
        </Button>
      </EmptyState>
    );
  }
}
