/* Streamlit calls this at every run of the page; the drawing is rebuilt only for new data. */
export default function ({ data, parentElement }) {
  const place = parentElement.querySelector(".operation");
  const said = JSON.stringify(data);
  if (place.said === said) return undefined;
  place.said = said;
  let stop;
  const state = {};
  const draw = (narrow) => {
    stop?.();
    place.replaceChildren();
    place.narrow = narrow;
    stop = operations[data.operation](place, data, { narrow, state });
  };
  const isNarrow = () => place.clientWidth < 700;
  draw(isNarrow());
  const observer = new ResizeObserver(() => {
    if (place.clientWidth && place.narrow !== isNarrow()) draw(isNarrow());
  });
  observer.observe(place);
  return () => { stop?.(); observer.disconnect(); place.said = null; };
}
