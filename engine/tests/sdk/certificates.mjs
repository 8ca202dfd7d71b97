// Certificates of an authority that is made for a test.

import { execFile } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** Writes `certificate.pem` for these names or IPv4 addresses and its `key.pem` into a folder, and returns the authority's certificate. */
export async function certify(folder, names) {
  const at = (name) => join(folder, name);
  const openssl = (...options) => promisify(execFile)("openssl", options);
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  await openssl("req", "-x509", ...key, "-keyout", at("ca.key"), "-out", at("ca.pem"), "-days", "2", "-subj", "/CN=Tests");
  await openssl("req", ...key, "-keyout", at("key.pem"), "-out", at("request.pem"), "-subj", `/CN=${names[0]}`);
  const alternatives = names.map((name) => `${/^[\d.]+$/.test(name) ? "IP" : "DNS"}:${name}`);
  await writeFile(at("names"), `subjectAltName=${alternatives.join(",")}\n`);
  await openssl("x509", "-req", "-in", at("request.pem"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial",
    "-out", at("certificate.pem"), "-days", "1", "-extfile", at("names"));
  return readFile(at("ca.pem"));
}
