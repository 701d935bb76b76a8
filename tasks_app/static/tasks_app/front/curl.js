// A call of this page as a line for a POSIX shell. The token is $TOKEN there: it never stands in the text.

// Between single quotes a shell reads everything as it is, but for the quote itself.
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function toCurl({ method, address, body, hasToken, isStream = false }) {
  const parts = ["curl"];
  if (isStream) parts.push("-N");
  // --data-raw: --data would read a file where the text begins with @. It makes a POST by itself.
  if (method !== "GET" && body === undefined) parts.push("-X", method);
  if (hasToken) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", "--data-raw", quote(body));
  parts.push(quote(location.origin + address));
  return parts.join(" ");
}
