// Formats a call as a command for a POSIX shell. The text contains $TOKEN, never the token.

// In single quotes, a shell takes every character literally except the quote itself.
const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function toCurl({ method, address, body, hasToken, isStream = false }) {
  const parts = ["curl"];
  if (isStream) parts.push("-N");
  // --data-raw, because --data reads a file if the text starts with @. It implies POST.
  if (method !== "GET" && body === undefined) parts.push("-X", method);
  if (hasToken) parts.push('-H "Authorization: Bearer $TOKEN"');
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", "--data-raw", quote(body));
  parts.push(quote(location.origin + address));
  return parts.join(" ");
}
