import { Dialog } from "@/components/Dialog";
import { KeyList } from "@/components/KeyList";
import { KEYS } from "@/model/keys";

export default function KeySheet({ onClose }: { onClose: () => void }) {
  return (
    <Dialog onClose={onClose} title="Keyboard">
      <KeyList keys={KEYS} />
    </Dialog>
  );
}
