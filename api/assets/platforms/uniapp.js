Push.platform = platformOf(uni);
export { Push };
export default Push;
