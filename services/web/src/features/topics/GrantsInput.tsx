import { Pill, TagsInput, type TagsInputProps } from "@mantine/core";
import { useOwn } from "@/context/services";

type Props = Pick<TagsInputProps, "label" | "description" | "disabled" | "value" | "onChange">;

/** Who may do something with a topic. One's own id says nothing to oneself. */
export function GrantsInput(props: Props) {
  const { user } = useOwn();
  return (
    <TagsInput
      {...props}
      renderPill={({ value, onRemove = () => undefined, disabled = false }) => (
        <Pill withRemoveButton={!disabled} disabled={disabled} onRemove={onRemove}>
          {value === user.id ? "You" : value}
        </Pill>
      )}
    />
  );
}
