import { Modal, type ModalProps } from "@mantine/core";
import { useFocusBack } from "./useFocusBack";

/** A dialog over the page, open as long as it is rendered. What had the focus before has it again afterwards. */
export function Dialog(props: Omit<ModalProps, "opened" | "lockScroll">) {
  useFocusBack();
  return <Modal opened lockScroll={false} {...props} />;
}
