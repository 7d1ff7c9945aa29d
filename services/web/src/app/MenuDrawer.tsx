import "@mantine/core/styles/Drawer.css";
import { Drawer } from "@mantine/core";
import { Brand } from "@/components/Brand";
import { TroublesContext } from "@/components/troubles";
import { useFocusBack } from "@/components/useFocusBack";
import { Navigation } from "./Navigation";
import classes from "./Navigation.module.css";

/** The navigation of a narrow window, over the page; with `find` to go to a topic. */
export default function MenuDrawer({ onClose, find }: { onClose: () => void; find: boolean }) {
  useFocusBack();
  return (
    <Drawer
      opened
      onClose={onClose}
      title={<Brand />}
      size="18rem"
      lockScroll={false}
      classNames={{ content: classes.drawer, body: classes.drawerBody }}
    >
      {/* It covers the page, and says for itself what it cannot show. */}
      <TroublesContext value={null}>
        <Navigation onGo={onClose} find={find} />
      </TroublesContext>
    </Drawer>
  );
}
