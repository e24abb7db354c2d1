// Draws every chart into the element with its id, and shows the chosen station in all of them.
const specs = JSON.parse(document.getElementById("charts").textContent);
const options = { actions: false, renderer: "svg" };
const views = Object.entries(specs).map(async ([id, spec]) => {
  const { view } = await vegaEmbed(document.getElementById(id), spec, options);
  return view;
});

async function showStation(drawing, stationId) {
  const view = await drawing;
  if ("station" in view.getState().signals) {
    view.signal("station", stationId).runAsync();
  }
}

const chooser = document.getElementById("station");
chooser?.addEventListener("change", () => views.forEach((drawing) => showStation(drawing, chooser.value)));
