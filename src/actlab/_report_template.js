const page = document.documentElement, written = page.dataset.language;
const buttons = document.querySelectorAll(".switch button");
function show() {
  const asked = location.hash.slice(1), language = asked === "en" || asked === "zh" ? asked : written;
  page.lang = page.dataset.language = language;
  for (const button of buttons) button.setAttribute("aria-pressed", String(button.value === language));
  for (const image of document.querySelectorAll("img[data-" + language + "]")) image.alt = image.dataset[language];
}
for (const button of buttons) button.addEventListener("click", () => { location.hash = button.value; show(); });
addEventListener("hashchange", show);
document.querySelector(".switch").hidden = false;
show();
