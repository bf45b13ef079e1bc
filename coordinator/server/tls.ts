import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from '../files/make-folder.ts';
import { writeFileAtomic } from '../files/write-file.ts';
import { reachableHosts } from './reachable-hosts.ts';

/** What a server proves itself with, PEM both. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the certificate, as browsers and OpenSSL show it: pairs of hex digits with colons between. */
  readonly fingerprint: string;
  /** Made here: nobody trusts it who has not been told the fingerprint. */
  readonly selfSigned: boolean;
}

/** A browser's exception is for one certificate, so the same one serves this long. */
const VALIDITY_DAYS = 365;
const DAY_MS = 86_400_000;
/** One that ends within a run would be of no use. */
const MIN_REMAINING_DAYS = 14;

/** How a coordinator was told to serve. */
export interface HttpsFlags {
  readonly https?: boolean;
  readonly cert?: string;
  readonly key?: string;
  readonly host: string;
}

/**
 * What --https, --cert and --key ask for.
 * @returns undefined for plain http
 * @throws Error with a sentence if they do not go together
 */
export async function certificateFor(
  { https = false, cert, key, host }: HttpsFlags,
  cacheDir: string,
  now: Date,
): Promise<Certificate | undefined> {
  if (cert !== undefined && key !== undefined) return readCertificate(cert, key);
  if (cert !== undefined || key !== undefined) throw new Error('--cert and --key belong together.');
  return https ? selfSignedCertificate(join(cacheDir, 'https'), reachableHosts(host), now) : undefined;
}

/** @throws Error with a sentence if a file cannot be read, or the two are no certificate and its key */
export async function readCertificate(certFile: string, keyFile: string): Promise<Certificate> {
  const [cert, key] = await Promise.all([readPem(certFile), readPem(keyFile)]);
  return parseCertificate(cert, key, `${certFile} and ${keyFile}`, false);
}

/**
 * A certificate for this machine's addresses, signed by itself. It is kept in `cacheDir`, for its key's owner alone, and
 * made anew when it ends soon or the machine has got another address.
 * @param hosts addresses and names that others reach this machine by
 */
export async function selfSignedCertificate(
  cacheDir: string,
  hosts: readonly string[],
  now: Date,
): Promise<Certificate> {
  const [certFile, keyFile] = [join(cacheDir, 'certificate.pem'), join(cacheDir, 'key.pem')];
  const names = [
    ...new Set([
      'localhost',
      '127.0.0.1',
      '::1',
      hostname(),
      ...hosts.map((host) => host.replace(/^\[|\]$/g, '')),
    ]),
  ];
  const kept = await readCertificate(certFile, keyFile).catch(() => null);
  if (kept !== null && isCertificateUsable(kept, names, now)) return { ...kept, selfSigned: true };
  const { generate } = await import('selfsigned');
  const made = await generate([{ name: 'commonName', value: 'gradcast' }], {
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
  await writeFileAtomic(keyFile, made.private, { mode: 0o600 });
  await writeFileAtomic(certFile, made.cert, { mode: 0o644 });
  return parseCertificate(made.cert, made.private, 'the new certificate', true);
}

function isCertificateUsable({ cert }: Certificate, names: readonly string[], now: Date): boolean {
  const x509 = new X509Certificate(cert);
  const lasts = new Date(x509.validTo).getTime() - now.getTime() > MIN_REMAINING_DAYS * DAY_MS;
  const begun = new Date(x509.validFrom).getTime() <= now.getTime();
  return (
    lasts &&
    begun &&
    names.every((name) => (isIP(name) === 0 ? x509.checkHost(name) : x509.checkIP(name)) !== undefined)
  );
}

async function readPem(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`${file} cannot be read: ${(error as Error).message}`, { cause: error });
  }
}

function parseCertificate(cert: string, key: string, what: string, selfSigned: boolean): Certificate {
  try {
    const x509 = new X509Certificate(cert);
    if (!x509.checkPrivateKey(createPrivateKey(key)))
      throw new Error('the key belongs to another certificate');
    return { cert, key, fingerprint: x509.fingerprint256, selfSigned };
  } catch (error) {
    throw new Error(`${what} are no certificate and its key, both PEM: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
