import { Pill, TagsInput, type TagsInputProps } from "@mantine/core";
import { useOwn } from "@/context/services";

type Props = Pick<TagsInputProps, "label" | "description" | "disabled" | "error" | "value" | "onChange"> & {
  /** What users are called, by id. */
  names?: Readonly<Record<string, string>>;
};

/** Who may do something with a topic, by name: an id says nothing to a person. */
export function GrantsInput({ names = {}, ...props }: Props) {
  const { user } = useOwn();
  return (
    <TagsInput
      {...props}
      renderPill={({ value = "", onRemove = () => undefined, disabled = false }) => {
        const name = names[value] ?? value;
        return (
          <Pill
            withRemoveButton={!disabled}
            disabled={disabled}
            onRemove={onRemove}
            title={name === value ? value : `${name} (${value})`}
          >
            {value === user.id ? "You" : value === "*" ? "Everyone (*)" : name}
          </Pill>
        );
      }}
    />
  );
}
