// The texts and settings that the server wrote into the page, and the formats of numbers and times in its language.

const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const settings = read("settings");
export const words = read("words");

const language = document.documentElement.lang;
const numbers = new Intl.NumberFormat(language);
const milliseconds = new Intl.NumberFormat(language, { style: "unit", unit: "millisecond", maximumFractionDigits: 0 });
const times = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });

export const formatNumber = (number) => numbers.format(number);
export const formatMilliseconds = (number) => milliseconds.format(number);
export const formatTime = (text) => times.format(new Date(text));

// Values are inserted unchanged: a {name} inside a value is not replaced again.
export const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
