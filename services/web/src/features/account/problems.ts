import { ApiError, sentence } from "@/api/errors";

export interface Problems {
  /** What is wrong with a field of the form, as a sentence. */
  of: (field: string) => string | undefined;
  /** What is wrong otherwise; empty if nothing is. */
  general: string;
}

/** What an error says about the fields of a form, and what it says beside. */
export function problemsOf(error: unknown, shown: readonly string[]): Problems {
  const fields = error instanceof ApiError ? error.fields.filter((one) => shown.includes(one.field)) : [];
  return {
    of: (field) => fields.find((one) => one.field === field)?.reason,
    general: error !== null && fields.length === 0 ? sentence(error) : "",
  };
}
