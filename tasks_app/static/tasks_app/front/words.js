// The words and settings that the server wrote into the page, and how numbers and times are said in its language.

const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const settings = read("settings");
export const words = read("words");

const language = document.documentElement.lang;
const numbers = new Intl.NumberFormat(language);
const milliseconds = new Intl.NumberFormat(language, { style: "unit", unit: "millisecond", maximumFractionDigits: 0 });
const times = new Intl.DateTimeFormat(language, { dateStyle: "short", timeStyle: "medium" });

export const sayNumber = (number) => numbers.format(number);
export const sayMilliseconds = (number) => milliseconds.format(number);
export const sayTime = (text) => times.format(new Date(text));

// What stands in the values is put in as it is: a {name} in it is not replaced again.
export const fill = (text, values) =>
  text.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
