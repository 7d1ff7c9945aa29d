import { ApiError } from "@/api/errors";

export interface Problems {
  /** What is wrong with a field of the form, as a sentence. */
  of: (field: string) => string | undefined;
  /** The error, where it is about none of the fields; null if nothing is wrong otherwise. */
  general: unknown;
}

/** What an error says about the fields of a form, and what it says beside. */
export function problemsOf(error: unknown, shown: readonly string[]): Problems {
  const fields = error instanceof ApiError ? error.fields.filter((one) => shown.includes(one.field)) : [];
  return {
    of: (field) => fields.find((one) => one.field === field)?.reason,
    general: fields.length === 0 ? error : null,
  };
}
