import { NativeSelect, NumberInput } from "@mantine/core";
import { useState } from "react";
import { BOUNDS, type Bounded, boundProblem, UNITS, type Unit, unitOf } from "./fields";

interface Props {
  label: string;
  /** Which of the form's numbers this is: it says what is too little and too much. */
  field: Exclude<Bounded, "keepCount">;
  seconds: number;
  onChange: (seconds: number) => void;
}

/** A whole number of a unit that one chooses. */
export function DurationInput({ label, field, seconds, onChange }: Props) {
  const [unit, setUnit] = useState(() => unitOf(seconds));
  const count = seconds / UNITS[unit];
  const [min, max] = BOUNDS[field];
  return (
    <NumberInput
      label={label}
      min={Math.ceil(min / UNITS[unit])}
      max={Math.floor(max / UNITS[unit])}
      allowDecimal={false}
      clampBehavior="none"
      error={boundProblem(field, seconds) || undefined}
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
            setUnit(chosen);
            onChange(count * UNITS[chosen]);
          }}
        />
      }
    />
  );
}
