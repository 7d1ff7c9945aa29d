import { NativeSelect, NumberInput } from "@mantine/core";
import { useState } from "react";
import { UNITS, type Unit, unitOf } from "./fields";

interface Props {
  label: string;
  seconds: number;
  /** In seconds, as the one above. */
  min?: number;
  max: number;
  onChange: (seconds: number) => void;
}

/** A whole number of a unit that one chooses. */
export function DurationInput({ label, seconds, min = 1, max, onChange }: Props) {
  const [unit, setUnit] = useState(() => unitOf(seconds));
  const count = seconds / UNITS[unit];
  return (
    <NumberInput
      label={label}
      min={Math.ceil(min / UNITS[unit])}
      max={Math.floor(max / UNITS[unit])}
      allowDecimal={false}
      value={count}
      onChange={(value) => onChange(Number(value) * UNITS[unit])}
      rightSectionWidth={112}
      rightSection={
        <NativeSelect
          variant="unstyled"
          rightSectionWidth={28}
          aria-label={`Unit of "${label}"`}
          data={Object.keys(UNITS)}
          value={unit}
          onChange={(event) => {
            const chosen = event.currentTarget.value as Unit;
            const least = Math.ceil(min / UNITS[chosen]);
            const most = Math.floor(max / UNITS[chosen]);
            setUnit(chosen);
            onChange(Math.max(least, Math.min(count, most)) * UNITS[chosen]);
          }}
        />
      }
    />
  );
}
