import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../files/make-folder.ts';
import { writeFileAtomic } from '../files/write-file.ts';
import { reachableHosts } from './reachable-hosts.ts';

/** A TLS certificate and its key, both PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the certificate as browsers and OpenSSL show it: pairs of hex digits, separated by colons. */
  readonly fingerprint: string;
  /** Whether gradcast created the certificate: clients trust it by its fingerprint only. */
  readonly selfSigned: boolean;
}

/** A browser's exception is for one certificate, so a certificate is reused for a year. */
const VALIDITY_DAYS = 365;
const DAY_MS = 86_400_000;
/** Longer than a run, so that a certificate does not expire during one. */
const MIN_REMAINING_DAYS = 14;

/** Command line options for HTTPS. */
export interface HttpsFlags {
  readonly https?: boolean | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly host: string;
}

/**
 * Certificate that --https, --cert and --key select.
 * @returns undefined for plain HTTP
 * @throws Error with a message for the user if the options contradict each other
 */
export async function certificateFor(
  { https = false, cert, key, host }: HttpsFlags,
  cacheDir: string,
  now: Date,
): Promise<Certificate | undefined> {
  if (cert !== undefined && key !== undefined) return readCertificate(cert, key);
  if (cert !== undefined || key !== undefined) throw new Error('--cert and --key must be used together.');
  return https ? selfSignedCertificate(join(cacheDir, 'https'), reachableHosts(host), now) : undefined;
}

/** @throws Error with a message for the user if the files are not a certificate and its key */
export async function readCertificate(certFile: string, keyFile: string): Promise<Certificate> {
  const [cert, key] = await Promise.all([readPem(certFile), readPem(keyFile)]);
  return parseCertificate(cert, key, `${certFile} and ${keyFile}`, false);
}

/**
 * Self-signed certificate for this machine's addresses. It is stored in `cacheDir`, with a key that only the user can read,
 * and replaced when it expires soon or the machine has a new address.
 * @param hosts addresses and names under which other machines reach this one
 */
export async function selfSignedCertificate(
  cacheDir: string,
  hosts: readonly string[],
  now: Date,
): Promise<Certificate> {
  const certFile = join(cacheDir, 'certificate.pem');
  const keyFile = join(cacheDir, 'key.pem');
  const names = [
    ...new Set([
      'localhost',
      '127.0.0.1',
      '::1',
      hostname(),
      ...hosts.map((host) => host.replace(/^\[|\]$/g, '')),
    ]),
  ];
  const cached = await readCertificate(certFile, keyFile).catch(() => null);
  if (cached !== null && isCertificateUsable(cached, names, now)) return { ...cached, selfSigned: true };
  const { generate } = await import('selfsigned');
  const created = await generate([{ name: 'commonName', value: 'gradcast' }], {
    keyType: 'ec',
    curve: 'P-256',
    algorithm: 'sha256',
    notBeforeDate: new Date(now.getTime() - DAY_MS),
    notAfterDate: new Date(now.getTime() + VALIDITY_DAYS * DAY_MS),
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      {
        name: 'subjectAltName',
        altNames: names.map((name) =>
          isIP(name) === 0 ? { type: 2 as const, value: name } : { type: 7 as const, ip: name },
        ),
      },
    ],
  });
  await makeFolder(cacheDir, (folder) => mkdir(folder, { mode: 0o700 }));
  await writeFileAtomic(keyFile, created.private, { mode: 0o600 });
  await writeFileAtomic(certFile, created.cert, { mode: 0o644 });
  return parseCertificate(created.cert, created.private, 'the new certificate', true);
}

function isCertificateUsable({ cert }: Certificate, names: readonly string[], now: Date): boolean {
  const x509 = new X509Certificate(cert);
  const isValidLongEnough = new Date(x509.validTo).getTime() - now.getTime() > MIN_REMAINING_DAYS * DAY_MS;
  const hasBegun = new Date(x509.validFrom).getTime() <= now.getTime();
  return (
    isValidLongEnough &&
    hasBegun &&
    names.every((name) => (isIP(name) === 0 ? x509.checkHost(name) : x509.checkIP(name)) !== undefined)
  );
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`Cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

function parseCertificate(cert: string, key: string, source: string, selfSigned: boolean): Certificate {
  try {
    const x509 = new X509Certificate(cert);
    if (!x509.checkPrivateKey(createPrivateKey(key)))
      throw new Error('the key does not match the certificate');
    return { cert, key, fingerprint: x509.fingerprint256, selfSigned };
  } catch (error) {
    throw new Error(`Not a certificate and its key in PEM format: ${source} (${(error as Error).message})`, {
      cause: error,
    });
  }
}
