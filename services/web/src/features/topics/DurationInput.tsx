import { NativeSelect } from "@mantine/core";
import { useState } from "react";
import { type Bounded, boundProblem, secondsOf, typedNumber, UNITS, type Unit, unitOf } from "./fields";
import { NumberField } from "./NumberField";

interface Props {
  label: string;
  /** Which of the form's numbers this is: it says what is too little and too much. */
  field: Exclude<Bounded, "keepCount">;
  seconds: number;
  onChange: (seconds: number) => void;
}

/** A number of a unit that one chooses: whole seconds. */
export function DurationInput({ label, field, seconds, onChange }: Props) {
  const [unit, setUnit] = useState(() => unitOf(seconds));
  return (
    <NumberField
      label={label}
      error={boundProblem(field, seconds) || undefined}
      value={seconds}
      read={(text) => secondsOf(typedNumber(text), unit)}
      write={(value) => String(value / UNITS[unit])}
      onChange={onChange}
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
            onChange(secondsOf(seconds / UNITS[unit], chosen));
          }}
        />
      }
    />
  );
}
