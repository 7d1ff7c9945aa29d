import { TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useRef, useState } from "react";
import { usePageKey } from "@/context/usePageKey";

const TYPING_MS = 300;

/** More than this the server does not take. */
const LONGEST = 200;

interface Props {
  label: string;
  /** What is searched for now. */
  query: string;
  onSearch: (query: string) => void;
}

/** The field to search a page's notifications. What is typed counts after a moment, or with Enter. */
export function SearchField({ label, query, onSearch }: Props) {
  const [text, setText] = useState(query);
  const field = useRef<HTMLInputElement>(null);
  /** What this field has said last: another query comes from the address, by Back or by a link. */
  const said = useRef(query);
  useEffect(() => {
    if (query !== said.current) setText(query);
    said.current = query;
  }, [query]);
  const say = (wanted: string) => {
    const words = wanted.trim() === "" ? "" : wanted.trimStart();
    if (words === said.current) return;
    said.current = words;
    onSearch(words);
  };
  // biome-ignore lint/correctness/useExhaustiveDependencies: only what is typed starts the wait anew
  useEffect(() => {
    const timer = setTimeout(() => say(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  usePageKey((key, event) => {
    if (key !== "/") return;
    event.preventDefault();
    field.current?.select();
  });
  return (
    <TextInput
      ref={field}
      type="search"
      size="xs"
      w={180}
      maxLength={LONGEST}
      aria-label={label}
      placeholder="Search"
      title='Words, "phrases", and -words to leave out (/)'
      leftSection={<IconSearch size={14} />}
      value={text}
      onChange={(event) => setText(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === "Enter") say(text);
        if (event.key === "Escape" && text !== "") {
          event.preventDefault();
          setText("");
          say("");
        }
      }}
    />
  );
}
