import { UserFacingError } from '../emulator/check/errors.ts';

/** Results that are missing, damaged, foreign or from the future; printed as one line with exit code 2. */
export class ResultError extends UserFacingError {}
