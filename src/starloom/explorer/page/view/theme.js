// Light or dark: the system's choice until the reader makes another. Not a module, so that nothing flashes.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => {
    try {
      return localStorage.getItem("starloom-theme");
    } catch {
      return null; // storage may be forbidden
    }
  };
  const apply = () => {
    root.dataset.theme = stored() ?? (system.matches ? "dark" : "light");
    dispatchEvent(new Event("themechange"));
  };
  globalThis.toggleTheme = () => {
    const other = root.dataset.theme === "dark" ? "light" : "dark";
    try {
      // the system's own choice is not remembered, so that it is followed again
      if ((other === "dark") === system.matches) localStorage.removeItem("starloom-theme");
      else localStorage.setItem("starloom-theme", other);
    } catch {
      root.dataset.theme = other;
      dispatchEvent(new Event("themechange"));
      return;
    }
    apply();
  };
  system.addEventListener("change", apply);
  apply();
})();
