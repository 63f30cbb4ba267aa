import { defineConfig } from "eslint/config";
import tseslint from "typescript-eslint";

export default defineConfig(
  { ignores: ["dist/", "test/editor/driver/", "test/editor/node_modules/"] },
  tseslint.configs.strictTypeChecked,
  tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: { allowDefaultProject: ["eslint.config.js"] } } },
    rules: {
      "@typescript-eslint/dot-notation": "off",
      "@typescript-eslint/switch-exhaustiveness-check": "error",
    },
  },
  // node's own test runner collects the promises of its tests.
  { files: ["test/**"], rules: { "@typescript-eslint/no-floating-promises": "off" } },
);
