import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

/** Smaller than this a file is not worth a compressed copy. */
const LEAST_BYTES = 256;

/** Compressed copies beside the built files: the gateway serves them as they are. */
function precompress(): Plugin {
  return {
    name: "precompress",
    apply: "build",
    writeBundle(options, bundle) {
      for (const name of Object.keys(bundle)) {
        if (!/\.(js|css|svg)$/.test(name) || options.dir === undefined) continue;
        const path = join(options.dir, name);
        const content = readFileSync(path);
        if (content.length < LEAST_BYTES) continue;
        writeFileSync(`${path}.br`, brotliCompressSync(content));
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
      }
    },
  };
}

/** Small things that the first pages need, in one file: each file of its own costs a request and half a kilobyte of headers. */
const FIRST =
  /\/src\/(api|context)\/|\/src\/model\/(keys|paths|plain|text)\.|\/src\/components\/(Brand|PageHeader|Problem|Loading|Fallible|notify|useNow|useSlow|parts|renew)\.|\/@mantine\/hooks\/|\/(micromark-util-decode-[a-z-]+|decode-named-character-reference)\/|\/@mantine\/core\/esm\/components\/(ActionIcon|Alert|Title|Input|InputBase|TextInput|Skeleton)\/|\/@mantine\/core\/esm\/.*\/(get-env|to-int|primitive|get-contrast-color|use-resolved-styles-api)\.|\/@tanstack\/(query-core|react-query)\/|\/(wouter|regexparam)\/|preload-helper|\/icons\/Icon(Check|Checks|ChevronRight|Search)\./;

/** The same of what each list of notifications needs: it would be a dozen files. */
const LISTS =
  /\/src\/features\/(feed\/(FeedList|NotificationRow|InboxFull|Missed|use[A-Z][A-Za-z]*)\.|search\/(SearchField|useAddressQuery)\.)|\/src\/components\/undo\.|\/@mantine\/core\/esm\/components\/SegmentedControl\/|\/@tanstack\/(react-virtual|virtual-core)\//;

export default defineConfig({
  plugins: [react(), precompress()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  // The gateway puts each answer's own nonce in its place.
  html: { cspNonce: "NOTIFYX_CSP_NONCE" },
  build: {
    target: "es2022",
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    modulePreload: { polyfill: false },
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "base", test: FIRST },
            { name: "lists", test: LISTS },
          ],
        },
      },
    },
  },
});
