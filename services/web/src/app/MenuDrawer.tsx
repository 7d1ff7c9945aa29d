import { Drawer } from "@mantine/core";
import { Brand } from "@/components/Brand";
import { Navigation } from "./Navigation";
import classes from "./Navigation.module.css";

/** The navigation of a narrow window, over the page. */
export default function MenuDrawer({ onClose }: { onClose: () => void }) {
  return (
    <Drawer
      opened
      onClose={onClose}
      title={<Brand />}
      size="18rem"
      lockScroll={false}
      classNames={{ content: classes.drawer, body: classes.drawerBody }}
    >
      <Navigation onGo={onClose} />
    </Drawer>
  );
}
