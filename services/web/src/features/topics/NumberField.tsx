import { TextInput, type TextInputProps } from "@mantine/core";
import { useState } from "react";

interface Props extends Pick<TextInputProps, "label" | "error" | "rightSection" | "rightSectionWidth"> {
  value: number;
  /** The value of what was typed; NaN where it has none. */
  read: (text: string) => number;
  write: (value: number) => string;
  onChange: (value: number) => void;
}

/** A number. What is typed stays as it is: a field that drops what it does not like makes another number of it. */
export function NumberField({ value, read, write, onChange, ...props }: Props) {
  const [typed, setTyped] = useState("");
  const written = Number.isFinite(value) ? write(value) : "";
  return (
    <TextInput
      {...props}
      inputMode="decimal"
      autoComplete="off"
      value={Object.is(read(typed), value) ? typed : written}
      onChange={(event) => {
        setTyped(event.currentTarget.value);
        onChange(read(event.currentTarget.value));
      }}
    />
  );
}
