import { createRemoteJWKSet, customFetch, jwtVerify } from "jose";
import type { JWTPayload, JWTVerifyOptions, JWTVerifyResult } from "jose";

import { type Duration, milliseconds } from "../duration.js";
import { invalid, TabmqError } from "../errors.js";
import { isLoopbackName } from "./options.js";
import type { AuthorizeContext, Grant } from "./types.js";

/** What a token says of its bearer. Its signature, its issuer and its times are right. */
export interface JwtClaims {
  /** Who it is. */
  readonly sub: string;
  readonly iss: string;
  readonly aud: string | readonly string[];
  /** When it ends, in seconds since 1970. */
  readonly exp: number;
  readonly [name: string]: unknown;
}

/** What is granted to the bearer of a token; see `Grant`. */
export type JwtGrant = Omit<Grant, "user" | "expires"> & {
  /** Default: `sub` of the token. */
  user?: string;
  /** Counts if it is before `exp` of the token. */
  expires?: Date;
};

/** How tokens are told from others. `issuer` and `audience` are those that must stand in them. */
export interface JwtChecks {
  issuer: string | readonly string[];
  audience: string | readonly string[];
  /** What the bearer of a token may do. One that throws lets nobody in. */
  grant(claims: JwtClaims, context: AuthorizeContext): JwtGrant | Promise<JwtGrant>;
  /** By how much the clocks of the issuer and of the hub may differ. Default 5 s. */
  clockTolerance?: Duration;
}

/** Either the keys of an issuer, of which new ones are fetched when they are needed. */
export interface JwtByKeys extends JwtChecks {
  /** Where its JSON Web Key Set is: `https://`, or on this machine `http://`. */
  jwks: string | URL;
  /** How long the keys are used before they are fetched again. Default 10 min. */
  jwksMaxAge?: Duration;
  /** An unknown key has them fetched at most so often. Default 30 s. */
  jwksCooldown?: Duration;
  secret?: never;
}

/** Or a secret that the issuer and the hub share, for HS256. */
export interface JwtBySecret extends JwtChecks {
  /** At least 32 bytes; a string is taken as UTF-8. */
  secret: string | Uint8Array;
  jwks?: never;
}

export type JwtOptions = JwtByKeys | JwtBySecret;

/** A hash of that many bytes is no stronger than its key (RFC 7518, 3.2). */
const SECRET_BYTES_MIN = 32;
const TOLERANCE_MS = 5000;
const MAX_AGE_MS = 600_000;
const COOLDOWN_MS = 30_000;
const FETCH_MS = 5000;
/** A token is one header of a request, and no longer than those may be. */
const TOKEN_CHARACTERS_MAX = 16_384;

const BY_SECRET = ["HS256"];
/** Whoever has these keys can check tokens with them and make none. */
const BY_KEYS =
  "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519".split(" ");
const FIELDS: ReadonlySet<string> = new Set(
  "issuer audience grant clockTolerance secret jwks jwksMaxAge jwksCooldown".split(" "),
);
/** Failures to get the keys, which say nothing of the token. */
const KEYS_AWAY = new Set<string | undefined>([
  "ERR_JWKS_TIMEOUT",
  "ERR_JWKS_INVALID",
  "ERR_JOSE_GENERIC",
]);

type Verify = (token: string) => Promise<JWTVerifyResult>;

/**
 * `authorize` for a hub whose clients have JSON Web Tokens, verified by `jose`. A token must have
 * `sub` and `exp`; its grant ends with it. Throws `INVALID` for an option. The function rejects,
 * which lets nobody in and is told in the log alone; with `UNAVAILABLE` if the keys can't be had,
 * so that clients try again.
 */
export function jwt(
  options: JwtOptions,
): (request: Request, context: AuthorizeContext) => Promise<Grant> {
  const { grant } = checked(options);
  const verify = verifier(options);
  return async (_, context) => {
    const { token } = context;
    if (token === undefined) throw new Error("no token");
    if (token.length > TOKEN_CHARACTERS_MAX) throw new Error("the token is too long");
    const claims = claimsOf((await verify(token)).payload);
    const { user = claims.sub, expires, ...rights } = await grant(claims, context);
    const ends = Math.min(claims.exp * 1000, expires?.getTime() ?? Infinity);
    return { ...rights, user, expires: new Date(ends) };
  };
}

function checked(options: JwtOptions): JwtOptions {
  for (const name of Object.keys(options))
    if (!FIELDS.has(name)) throw invalid(`jwt: there is no option "${name}"`, name);
  const { issuer, audience, grant, secret, jwks } = options;
  for (const [name, value] of Object.entries({ issuer, audience })) {
    const texts = [value].flat();
    if (!texts.length || texts.some((text) => typeof text !== "string" || !text))
      throw invalid(`jwt: ${name} must be a string, or a list of them`, name);
  }
  if (typeof grant !== "function") throw invalid("jwt: grant must be a function", "grant");
  if ((secret === undefined) === (jwks === undefined))
    throw invalid("jwt: needs either secret or jwks", "secret");
  return options;
}

function verifier(options: JwtOptions): Verify {
  const { issuer, audience, clockTolerance = TOLERANCE_MS } = options;
  const checks: JWTVerifyOptions = {
    issuer: [issuer].flat() as string[],
    audience: [audience].flat() as string[],
    clockTolerance: milliseconds(clockTolerance, "clockTolerance") / 1000,
    requiredClaims: ["sub", "exp"],
  };
  return options.jwks === undefined ? bySecret(options, checks) : byKeys(options, checks);
}

function bySecret({ secret }: JwtBySecret, checks: JWTVerifyOptions): Verify {
  const key = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  if (!(key instanceof Uint8Array) || key.length < SECRET_BYTES_MIN)
    throw invalid(`jwt: secret must have at least ${SECRET_BYTES_MIN} bytes`, "secret");
  return (token) => jwtVerify(token, key, { ...checks, algorithms: BY_SECRET });
}

function byKeys(options: JwtByKeys, checks: JWTVerifyOptions): Verify {
  const { jwks, jwksMaxAge = MAX_AGE_MS, jwksCooldown = COOLDOWN_MS } = options;
  const url = URL.canParse(String(jwks)) ? new URL(jwks) : undefined;
  const is_safe = url?.protocol === "https:"
    || (url?.protocol === "http:" && isLoopbackName(url.hostname));
  if (!url || !is_safe)
    throw invalid("jwt: jwks must be an address that begins with https://", "jwks");
  const caching = {
    cacheMaxAge: milliseconds(jwksMaxAge, "jwksMaxAge"),
    cooldownDuration: milliseconds(jwksCooldown, "jwksCooldown"),
    timeoutDuration: FETCH_MS,
  };
  const keys = createRemoteJWKSet(url, { ...caching, [customFetch]: fetchKeys });
  return async (token) => {
    try {
      return await jwtVerify(token, keys, { ...checks, algorithms: BY_KEYS });
    } catch (error) {
      throw KEYS_AWAY.has((error as { code?: string }).code) ? unavailable(error) : error;
    }
  };
}

function fetchKeys(url: string, init: object): Promise<Response> {
  return fetch(url, init).catch((error: Error) => {
    // That one `jose` knows.
    throw error.name === "TimeoutError" ? error : unavailable(error);
  });
}

function unavailable(cause: unknown): TabmqError {
  const why = `the keys can't be had: ${(cause as Error).message}`;
  return new TabmqError("UNAVAILABLE", why, { cause, data: { reason: "jwks" } });
}

/** Those that `requiredClaims` has found are of the types that the standard gives them. */
function claimsOf(payload: JWTPayload): JwtClaims {
  const { sub, exp } = payload;
  if (typeof sub !== "string" || !sub) throw new Error('the claim "sub" is no text');
  if (typeof exp !== "number") throw new Error('the claim "exp" is no time');
  return payload as JwtClaims;
}
