// The landing page's explorer: nothing of it is loaded before the reader asks for it.
for (const button of document.querySelectorAll("button[data-explorer]")) {
  button.addEventListener("click", () => {
    const told = button.parentElement.querySelector("[role=status]");
    if (location.protocol === "file:") {
      told.textContent = "Browsers run no modules from files: serve the folder, by python -m http.server --directory build/site";
      return;
    }
    const frame = document.createElement("iframe");
    frame.src = button.dataset.explorer;
    frame.title = "The explorer";
    button.closest(".explorer").replaceChildren(frame);
  });
}
